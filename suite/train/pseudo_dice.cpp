#include "suite/train/pseudo_dice.h"

namespace m3d {

PseudoDice::PseudoDice(const TargetSpec& spec)
    : region_based_(spec.region_based), intersection_(spec.classes.size(), 0), both_sizes_(spec.classes.size(), 0) {}

void PseudoDice::count(std::size_t position, const torch::Tensor& predicted, const torch::Tensor& expected) {
  intersection_[position] += (predicted & expected).sum().item<std::int64_t>();
  both_sizes_[position] += predicted.sum().item<std::int64_t>() + expected.sum().item<std::int64_t>();
}

void PseudoDice::add(const torch::Tensor& logits, const torch::Tensor& target) {
  const torch::Tensor chosen = region_based_ ? logits.gt(0) : logits.argmax(1);  // sigmoid > 0.5 is logit > 0
  for (std::size_t i = 0; i < intersection_.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    if (region_based_)
      count(i, chosen.select(1, index), target.select(1, index).gt(0.5));
    else
      count(i, chosen.eq(index + 1), target.eq(index + 1));
  }
}

std::optional<double> PseudoDice::mean() const {
  double sum = 0;
  int classes = 0;
  for (std::size_t i = 0; i < intersection_.size(); ++i) {
    if (both_sizes_[i] == 0) continue;
    sum += 2.0 * static_cast<double>(intersection_[i]) / static_cast<double>(both_sizes_[i]);
    ++classes;
  }
  return classes > 0 ? std::optional(sum / classes) : std::nullopt;
}

}  // namespace m3d
