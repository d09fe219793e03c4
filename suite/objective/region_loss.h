#pragma once
// Dice plus binary cross-entropy of region targets. Internal to this room: loss.h is the public face.
#include <torch/torch.h>

#include "suite/objective/loss.h"

namespace m3d {

/// For logits and target [B, K, N] of one type (float32 or float64) on the CPU: a few passes over memory instead of
/// some forty, the same bits for any number of threads.
at::Tensor fused_region_loss(const at::Tensor& logits, const at::Tensor& target, const LossOptions& options);

/// The same from LibTorch's operators, for any device.
at::Tensor composite_region_loss(const at::Tensor& logits, const at::Tensor& target, const LossOptions& options);

}  // namespace m3d
