#pragma once
// Dice plus cross-entropy with deep supervision. Source: nnU-Net v2 training/loss (nnunet_conventions.md §8); records
// of kind "loss". Same bits for any number of threads on the CPU.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace m3d {

struct LossOptions {
  bool region_based = false;  // sigmoid per region and binary cross-entropy instead of softmax and cross-entropy
  bool batch_dice = false;    // sums of the Dice part run over the batch before the quotient
  double dice_weight = 1;
  double cross_entropy_weight = 1;
  /// Voxels of this label count nowhere. Softmax: a class index of the target. Regions: the target has one more channel
  /// in the end, which is 1 at voxels of that label.
  std::optional<std::int64_t> ignore_label = {};
};

/// The two parts of the loss before weighting, as plain numbers (for records and logs).
struct LossParts {
  double dice_loss = 0;  // minus the mean soft Dice; without background for softmax targets
  /// Mean over voxels (softmax) or over all elements (regions); regions with an ignore label: the sum of the regions'
  /// means over the voxels that count, as nnU-Net has it.
  double cross_entropy = 0;
};

/// Weighted sum of both parts, a scalar of the logits' type (float32 for half types), differentiable in `logits`.
/// `logits` [B, K, D, H, W]; `target` [B, D, H, W] class indices of int64, or for regions [B, K, D, H, W] zeros and
/// ones of a floating type (K + 1 channels with an ignore label). Throws std::invalid_argument for other shapes and
/// class indices outside [0, K).
at::Tensor segmentation_loss(const at::Tensor& logits, const at::Tensor& target, const LossOptions& options);
LossParts segmentation_loss_parts(const at::Tensor& logits, const at::Tensor& target, const LossOptions& options);

/// Weights of the outputs, highest resolution first: 1, 1/2, 1/4, …, the last 0 where there are several, sum 1.
std::vector<double> deep_supervision_weights(int outputs);

/// `target` ([B, D, H, W] or [B, K, D, H, W]) at another grid: voxel i of an axis is voxel floor((i + 0.5) in / out).
at::Tensor nearest_exact(const at::Tensor& target, at::IntArrayRef shape);

/// Weighted sum of the losses of `outputs` [B, K, d, h, w], each against the target at its own grid.
at::Tensor deep_supervision_loss(const std::vector<at::Tensor>& outputs, const at::Tensor& target,
                                 const LossOptions& options);

}  // namespace m3d
