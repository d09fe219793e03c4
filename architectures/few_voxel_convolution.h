#pragma once
// Convolutions [B, C, D, H, W] whose output has so few voxels that reading the weight is most of the work, as in the
// deepest stages: a product of the windows with the weight as it lies. oneDNN's convolutions would first bring the
// weight into a layout of their own, and its gradient back. Internal to this room; float32 on the CPU, one group.
#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <tuple>

namespace m3d {

/// Whether the weight [O, C, kd, kh, kw] is larger than all windows together, for this number of output voxels.
bool weight_outweighs_windows(const at::Tensor& weight, std::int64_t output_voxels);

/// In the strides of `input`.
at::Tensor few_voxel_convolution(const at::Tensor& input, const at::Tensor& weight,
                                 const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                                 at::IntArrayRef padding);

/// Gradients of input, weight (contiguous) and bias, those that are wanted.
std::tuple<at::Tensor, at::Tensor, at::Tensor> few_voxel_convolution_backward(
    const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight, at::IntArrayRef stride,
    at::IntArrayRef padding, const std::array<bool, 3>& wanted);

}  // namespace m3d
