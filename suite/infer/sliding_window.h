#pragma once
// Sliding-window inference with Gaussian weights and mirroring. Source: nnU-Net v2 (nnunet_conventions.md §10), in
// float32 where nnU-Net accumulates in half precision; records of kind "sliding_window".
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "datasets/image.h"

namespace m3d {

struct SlidingWindowOptions {
  Shape3 patch{};
  double overlap = 0.5;          // share of the patch that neighbouring tiles have in common at least, in [0, 1)
  bool gaussian = true;          // weight tiles by gaussian_weights; otherwise equally
  std::vector<int> mirror_axes;  // 0, 1, 2 of [D, H, W]: the mean over all flips of these axes
};

/// First voxels of the tiles along one axis of `size` >= `patch` voxels.
std::vector<std::int64_t> tile_starts(std::int64_t size, std::int64_t patch, double overlap);

/// Zero voxels added on both sides of each axis, so that the image is at least as large as the patch.
struct Padding {
  Shape3 below{}, above{};
};
Padding padding_to_patch(const Shape3& image, const Shape3& patch);

/// Tiles that an image of `shape` takes (mirrored passes not counted).
std::int64_t tile_count(const Shape3& shape, const SlidingWindowOptions& options);

/// [D, H, W] float64: a Gaussian of sigma = patch / 8 about patch / 2 (rounded down), largest value 10.
at::Tensor gaussian_weights(const Shape3& patch);

/// `image` [C, D, H, W] of any size → logits [classes, D, H, W] on the image's device, float32 (float64 for float64
/// images). `network` maps [1, C, d, h, w] of the patch's size to [1, classes, d, h, w] and may use another device. No
/// gradients. Throws std::invalid_argument where the network's answer has another shape. What `network` throws passes
/// through.
at::Tensor predict_logits(const std::function<at::Tensor(const at::Tensor&)>& network, const at::Tensor& image,
                          std::int64_t classes, const SlidingWindowOptions& options);

}  // namespace m3d
