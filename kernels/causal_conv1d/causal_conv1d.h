#pragma once
// The short causal depthwise convolution in front of Mamba's scan (Dao-AILab/causal-conv1d), tokens channels-last.
#include <ATen/core/Tensor.h>

#include <optional>

namespace m3d {

/// y[t] = sum_k weight[k] x[t - width + 1 + k] + bias, zeros before the first token; SiLU of that if `silu`.
///
/// x: [B, L, C], any strides; weight: [C, width], width 1 to 8; bias: [C]. x: float32, float64, bfloat16
/// or float16, the parameters in its dtype or in that of the arithmetic (float64 for float64, else float32); one device.
/// Returns [B, L, C] in x's dtype. The same bits whatever the number of threads. Throws c10::Error naming the wrong argument.
/// Differentiable once in every tensor. The dispatcher sees the call as m3d::causal_conv1d, on meta tensors too.
at::Tensor causal_conv1d(const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias = std::nullopt, bool silu = false);

}  // namespace m3d
