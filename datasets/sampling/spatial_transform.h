#pragma once
// Rotation and scaling of a patch (nnunet_conventions.md §7.1): where each voxel of the patch is sampled in the larger
// patch that the loader cuts, and the samples. Source: batchgeneratorsv2 0.3.6, transforms/spatial/spatial.py, with
// float32 coordinates as there, so that ties between labels fall alike.
#include <array>
#include <cstdint>
#include <span>

#include "datasets/images/image.h"

namespace m3d {

/// Row-major; acts on centred voxel coordinates (z, y, x).
using Matrix3 = std::array<double, 9>;

/// Rz(angles[2]) · Ry(angles[1]) · Rx(angles[0]) · diag(scales), the angles in radians. Scales above 1 shrink what is
/// seen.
Matrix3 spatial_matrix(const std::array<double, 3>& angles, const std::array<double, 3>& scales);
/// The same within each slice only (dummy 2D): one angle, the first axis untouched.
Matrix3 planar_matrix(double angle, double scale);

/// How a patch lies in the loader's patch: voxel p of the patch is sampled at matrix · (p - centre of the patch) +
/// centre of the loader's patch.
struct SpatialGrid {
  Matrix3 matrix{};
  Shape3 patch{};
  Shape3 loader_patch{};
};

/// Half-open box of the loader's patch that the samples may touch, cut at its borders; empty axes where none does.
struct SourceBox {
  Shape3 begin{}, end{};
  Shape3 size() const { return {end[0] - begin[0], end[1] - begin[1], end[2] - begin[2]}; }
};
SourceBox source_box(const SpatialGrid& grid);

/// A part of the loader's patch with a margin of what lies around it: 0 in images and -1 in labels.
/// The voxel of the loader's patch at `begin` lies at index [kBefore, kBefore, kBefore] of arrays of shape `padded()`.
struct PaddedBox {
  static constexpr std::int64_t kBefore = 1, kAfter = 2;
  Shape3 begin{}, size{};
  Shape3 padded() const { return {size[0] + kBefore + kAfter, size[1] + kBefore + kAfter, size[2] + kBefore + kAfter}; }
};

/// Samples of all channels and of the labels. Images: trilinear. Labels: the one whose 0/1 indicator has the largest
/// trilinear sample; near ties go to the nearest voxel's label where it is among the tied, else to the smallest.
/// `image` [C, box.padded()], `labels` [box.padded()]; the targets [C, grid.patch] and [grid.patch].
void sample_patch(const SpatialGrid& grid, const PaddedBox& box, std::span<const float> image,
                  std::span<const std::int16_t> labels, std::span<float> image_target,
                  std::span<std::int16_t> labels_target);

}  // namespace m3d
