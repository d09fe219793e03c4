#include "suite/train/pseudo_dice.h"

namespace m3d {

PseudoDice::PseudoDice(const TargetSpec& spec)
    : region_based_(spec.region_based),
      ignored_index_(spec.ignored_index()),
      intersection_(spec.classes.size(), 0),
      both_sizes_(spec.classes.size(), 0) {}

void PseudoDice::count(std::size_t position, const torch::Tensor& predicted, const torch::Tensor& expected) {
  intersection_[position] += (predicted & expected).sum().item<std::int64_t>();
  both_sizes_[position] += predicted.sum().item<std::int64_t>() + expected.sum().item<std::int64_t>();
}

void PseudoDice::add(const torch::Tensor& logits, const torch::Tensor& target) {
  const torch::Tensor chosen = region_based_ ? logits.gt(0) : logits.argmax(1);  // sigmoid > 0.5 is logit > 0
  torch::Tensor ignored;
  if (ignored_index_) ignored = region_based_ ? target.select(1, *ignored_index_).gt(0.5) : target.eq(*ignored_index_);
  for (std::size_t i = 0; i < intersection_.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    torch::Tensor predicted = region_based_ ? chosen.select(1, index) : chosen.eq(index + 1);
    torch::Tensor expected = region_based_ ? target.select(1, index).gt(0.5) : target.eq(index + 1);
    if (ignored.defined()) {
      predicted = predicted & ~ignored;
      expected = expected & ~ignored;
    }
    count(i, predicted, expected);
  }
}

std::vector<std::optional<double>> PseudoDice::by_class() const {
  std::vector<std::optional<double>> dice(intersection_.size());
  for (std::size_t i = 0; i < dice.size(); ++i)
    if (both_sizes_[i] > 0) dice[i] = 2.0 * static_cast<double>(intersection_[i]) / static_cast<double>(both_sizes_[i]);
  return dice;
}

std::optional<double> PseudoDice::mean() const {
  double sum = 0;
  int classes = 0;
  for (const std::optional<double>& dice : by_class()) {
    if (!dice) continue;
    sum += *dice;
    ++classes;
  }
  return classes > 0 ? std::optional(sum / classes) : std::nullopt;
}

}  // namespace m3d
