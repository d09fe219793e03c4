#pragma once
// Several depthwise 3D convolutions of the same x at once, as the multi-scale Ulike mixers have them (k = 3, 5, 7).
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

namespace m3d {

/// y[:, s] = depthwise_conv3d(x, weights[s], biases[s], silu).
///
/// x: [B, D, H, W, C], any strides; weights: S of them, 1 to 8, each [C, 1, kd, kh, kw] with odd sizes of its own;
/// biases: S of them, each [C] or absent. One dtype (float32 or float64), one device. Returns [B, S, D, H, W, C]. The
/// same bits whatever the number of threads. Throws c10::Error naming the wrong argument. Differentiable once in every
/// tensor. On CUDA k = 3, 5, 7 share one pass over x, and the gradient of x is written once.
/// The dispatcher sees the call as m3d::depthwise_conv3d_multiscale, on meta tensors too.
at::Tensor depthwise_conv3d_multiscale(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                                       const std::vector<std::optional<at::Tensor>>& biases, bool silu = false);

}  // namespace m3d
