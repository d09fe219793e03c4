#pragma once
// Values between voxels. PyTorch's gradients of these add up in no fixed order on CUDA, and it refuses them where
// deterministic operators are asked for; there the same values are computed by products and gathers, whose gradients
// have a fixed order.
#include <torch/torch.h>

namespace m3d {

/// `x` [B, C, H, W] or [B, C, D, H, W] at another `size` (of the last axes), bi- or trilinear between voxel centres, or
/// between corners where these are aligned.
torch::Tensor resized_linear(const torch::Tensor& x, at::IntArrayRef size, bool align_corners);

/// `volumes` [B, C, D, H, W] read at `places` [B, Q, P, 3], whose x, y, z run from -1 to 1 over the volume, voxels'
/// outer faces included: [B, C, Q, P], trilinear, zero outside.
torch::Tensor sampled_linear(const torch::Tensor& volumes, const torch::Tensor& places);

/// The forms with gradients of a fixed order, whatever the device.
torch::Tensor resized_linear_by_products(const torch::Tensor& x, at::IntArrayRef size, bool align_corners);
torch::Tensor sampled_linear_by_gathers(const torch::Tensor& volumes, const torch::Tensor& places);

}  // namespace m3d
