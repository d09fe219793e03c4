#pragma once
// The depthwise 3D convolution of the Ulike mixers (arXiv:2503.19308), voxels channels-last.
#include <ATen/core/Tensor.h>

#include <optional>

namespace m3d {

/// Cross-correlation of every channel with its own kernel, stride 1, zero padding (k-1)/2 ("same"); SiLU if `silu`.
///
/// x: [B, D, H, W, C], any strides; weight: [C, 1, kd, kh, kw], each odd; bias: [C]. One dtype (float32 or float64),
/// one device. Returns the shape of x. The same bits whatever the number of threads. Throws c10::Error naming the
/// wrong argument. Differentiable once in every tensor. The dispatcher sees the call as m3d::depthwise_conv3d, on
/// meta tensors too.
at::Tensor depthwise_conv3d(const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias = std::nullopt, bool silu = false);

}  // namespace m3d
