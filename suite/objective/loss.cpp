#include "suite/objective/loss.h"

#include <cmath>
#include <stdexcept>

#include "suite/objective/loss_shapes.h"
#include "suite/objective/region_loss.h"
#include "suite/objective/softmax_loss.h"

namespace m3d {
namespace {

std::string shape_text(const at::Tensor& tensor) { return c10::str(tensor.sizes(), " ", tensor.scalar_type()); }

void check(const at::Tensor& logits, const at::Tensor& target, const LossOptions& options) {
  std::vector<std::int64_t> expected = logits.sizes().vec();
  if (!options.region_based && expected.size() > 1) expected.erase(expected.begin() + 1);
  if (options.region_based && options.ignore_label && expected.size() > 1) ++expected[1];
  const bool right_type = options.region_based ? target.is_floating_point() : target.scalar_type() == at::kLong;
  if (logits.dim() != 5 || !logits.is_floating_point() || target.sizes() != expected || !right_type ||
      (!options.region_based && logits.size(1) < 2))
    throw std::invalid_argument(
        "segmentation_loss: logits " + shape_text(logits) + " and target " + shape_text(target) +
        (options.region_based ? "; expected [B, K, D, H, W] of floating types for both, with an "
                                "ignore label one channel more for the target"
                              : "; expected [B, K >= 2, D, H, W] and int64 [B, D, H, W]"));
}

}  // namespace

at::Tensor segmentation_loss(const at::Tensor& logits, const at::Tensor& target, const LossOptions& options) {
  check(logits, target, options);
  const bool reduced = logits.scalar_type() == at::kHalf || logits.scalar_type() == at::kBFloat16;
  const at::Tensor exact = reduced ? logits.to(at::kFloat) : logits;
  const at::Tensor flat = exact.flatten(2);
  if (flat.is_meta()) return loss_shapes(flat, target);
  if (options.region_based) {
    const at::Tensor regions = target.to(exact.scalar_type()).flatten(2);
    return flat.is_cpu() ? fused_region_loss(flat, regions, options) : composite_region_loss(flat, regions, options);
  }
  const at::Tensor classes = target.flatten(1);
  return flat.is_cpu() ? fused_softmax_loss(flat, classes, options) : composite_softmax_loss(flat, classes, options);
}

LossParts segmentation_loss_parts(const at::Tensor& logits, const at::Tensor& target, const LossOptions& options) {
  const at::NoGradGuard no_gradient;
  LossOptions dice = options, cross_entropy = options;
  dice.dice_weight = cross_entropy.cross_entropy_weight = 1;
  dice.cross_entropy_weight = cross_entropy.dice_weight = 0;
  return {segmentation_loss(logits, target, dice).item<double>(),
          segmentation_loss(logits, target, cross_entropy).item<double>()};
}

std::vector<double> deep_supervision_weights(int outputs) {
  if (outputs < 1) throw std::invalid_argument("deep_supervision_weights: a network has at least one output");
  std::vector<double> weights(static_cast<std::size_t>(outputs));
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const bool last_of_several = i > 0 && i + 1 == weights.size();
    weights[i] = last_of_several ? 0 : std::ldexp(1.0, -static_cast<int>(i));
    sum += weights[i];
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

at::Tensor nearest_exact(const at::Tensor& target, at::IntArrayRef shape) {
  at::Tensor result = target;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const std::int64_t dimension = target.dim() - static_cast<std::int64_t>(shape.size() - axis);
    const std::int64_t in = target.size(dimension), out = shape[axis];
    if (in == out) continue;
    const at::Tensor index = at::arange(out, at::TensorOptions().dtype(at::kLong).device(target.device()));
    result = result.index_select(dimension, ((2 * index + 1) * in).div(2 * out, "floor"));
  }
  return result;
}

at::Tensor deep_supervision_loss(const std::vector<at::Tensor>& outputs, const at::Tensor& target,
                                 const LossOptions& options) {
  const std::vector<double> weights = deep_supervision_weights(static_cast<int>(outputs.size()));
  at::Tensor total;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (weights[i] == 0) continue;
    const at::Tensor loss =
        weights[i] * segmentation_loss(outputs[i], nearest_exact(target, outputs[i].sizes().slice(2)), options);
    total = total.defined() ? total + loss : loss;
  }
  return total;
}

}  // namespace m3d
