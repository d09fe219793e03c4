#pragma once
// Sliding-window inference with Gaussian weights and mirroring. Source: nnU-Net v2 (nnunet_conventions.md §10), in
// float32 where nnU-Net accumulates in half precision; records of kind "sliding_window".
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "datasets/images/image.h"

namespace m3d {

/// Tiles are visited along the first axis, so that only the means of planes that later tiles still touch are kept: one
/// patch's depth of the image. Where even these take more than half of `memory_bytes` they lie in a file, of which the
/// part under one row of tiles is in memory at a time; the result has the same bits.
struct SlidingWindowOptions {
  Shape3 patch{};
  double overlap = 0.5;           // share of the patch that neighbouring tiles have in common at least, in [0, 1)
  bool gaussian = true;           // weight tiles by gaussian_weights; otherwise equally
  std::vector<int> mirror_axes;   // 0, 1, 2 of [D, H, W]: the mean over all flips of these axes
  std::int64_t memory_bytes = 0;  // for the means and a finished slab of logits; 0: no limit
  std::filesystem::path scratch_folder;  // of the file; empty: the system's folder of temporary files
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

/// Maps a tile [1, C, d, h, w] of the patch's size to logits [1, classes, d, h, w]; may use another device.
using TileNetwork = std::function<at::Tensor(const at::Tensor&)>;
/// Takes finished logits [classes, d, H, W] of the image's planes `first` to first + d - 1; called in the planes'
/// order, without gaps. The tensor is valid during the call only.
using SlabConsumer = std::function<void(std::int64_t first, const at::Tensor& logits)>;

/// `image` [C, D, H, W] of any size → its logits, slab by slab: on the image's device (on the CPU where the means lie
/// in a file), float32 (float64 for float64 images). No gradients. Throws std::invalid_argument where the network's
/// answer has another shape, RunError where the file cannot be written. What `network` and `consume` throw passes
/// through.
void predict_slabs(const TileNetwork& network, const at::Tensor& image, std::int64_t classes,
                   const SlidingWindowOptions& options, const SlabConsumer& consume);

/// The same, whole: [classes, D, H, W].
at::Tensor predict_logits(const TileNetwork& network, const at::Tensor& image, std::int64_t classes,
                          const SlidingWindowOptions& options);

}  // namespace m3d
