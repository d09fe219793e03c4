#pragma once
// Dice plus cross-entropy of softmax targets. Internal to this room: loss.h is the public face.
#include <torch/torch.h>

#include "suite/objective/loss.h"

namespace m3d {

/// For logits [B, K, N] of float32 or float64 on the CPU and classes [B, N] of int64: one pass over the probabilities
/// forward and one backward, no one-hot tensor. Sums run in float64 over fixed chunks, so that the number of threads
/// never changes a bit.
at::Tensor fused_softmax_loss(const at::Tensor& logits, const at::Tensor& classes, const LossOptions& options);

/// The same from LibTorch's operators, for any device.
at::Tensor composite_softmax_loss(const at::Tensor& logits, const at::Tensor& classes, const LossOptions& options);

}  // namespace m3d
