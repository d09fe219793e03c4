#pragma once
// The depthwise 3D convolution of the Ulike mixers (arXiv:2503.19308), voxels channels-last.
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

namespace m3d {

/// Cross-correlation of every channel with its own kernel, stride 1, zero padding (k-1)/2 ("same"); SiLU if `silu`.
///
/// x: [B, D, H, W, C], any strides; weight: [C, 1, kd, kh, kw], each odd; bias: [C]. x: float32, float64,
/// bfloat16 or float16, the parameters in its dtype or in that of the arithmetic (float64 for float64, else float32);
/// one device. Returns shape and dtype of x. The same bits whatever the number of threads. Throws c10::Error naming the
/// wrong argument. Differentiable once in every tensor. The dispatcher sees the call as m3d::depthwise_conv3d, on
/// meta tensors too.
at::Tensor depthwise_conv3d(const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias = std::nullopt, bool silu = false);

/// Several of them of the same x in one pass over it (MSv4's kernels 3, 5, 7), one to four weights with a bias each (or
/// nullopt each): [B, S, D, H, W, C] in the order of the weights. Otherwise as depthwise_conv3d; the dispatcher sees
/// m3d::depthwise_conv3d_multiscale.
at::Tensor depthwise_conv3d_multiscale(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                                       const std::vector<std::optional<at::Tensor>>& biases, bool silu = false);

}  // namespace m3d
