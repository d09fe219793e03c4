#pragma once
// The fused losses on meta tensors, for predicting memory: the tensors that they keep and make, and no values.
#include <ATen/core/Tensor.h>

namespace m3d {

/// What a fused loss keeps of [B, K, N] logits until its backward pass: its probabilities and the target.
at::Tensor loss_shapes(const at::Tensor& logits, const at::Tensor& target);

}  // namespace m3d
