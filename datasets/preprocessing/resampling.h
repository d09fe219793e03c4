#pragma once
// nnU-Net v2's resampling of images, label maps and logits (nnunet_conventions.md §5). Float64 arithmetic, results
// stored as float32. No NaN may be among the voxels.
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "datasets/images/image.h"

namespace m3d {

/// Millimetres along [D, H, W].
using Spacing3 = std::array<double, 3>;

/// The keyword arguments that a plans file gives to resample_data_or_seg_to_shape.
struct ResamplingRule {
  int order = 3;                         // 0 nearest, 1 linear, 3 cubic B-spline; within slices where one axis is apart
  int order_z = 0;                       // along the axis that is apart
  std::optional<bool> force_separate_z;  // empty: by the spacings
};

/// How the label of a voxel follows from the linearly resampled indicators of all labels.
enum class LabelRule {
  argmax,           // the largest; exact ties: the nearest voxel's label if tied, else the smallest
  legacy_threshold  // 0, unless one reaches 0.5: the largest such label (batchgenerators before the argmax)
};

/// round(old spacing / new spacing * old size) per axis, ties to even.
Shape3 shape_at_spacing(const Shape3& shape, const Spacing3& spacing, const Spacing3& new_spacing);

/// The axis that is treated slice by slice: the one with by far the largest spacing before, else after resampling.
/// Empty where spacings differ by a factor of 3 at most, or where two axes share the largest spacing.
std::optional<int> separate_axis(const Spacing3& current, const Spacing3& target, const ResamplingRule& rule);

/// A resampling from one grid to another, planned once for any number of channels.
class Resampling {
 public:
  Resampling(const Shape3& shape, const Shape3& new_shape, const Spacing3& current, const Spacing3& target,
             const ResamplingRule& rule);

  const Shape3& new_shape() const { return new_shape_; }
  bool is_identity() const { return shape_ == new_shape_; }

  /// One channel [D, H, W] → its voxels on the new grid, clipped to the range of the channel (or of each slice).
  std::vector<float> image(std::span<const float> voxels) const;
  /// The same into `result`, of new_shape() voxels.
  void image(std::span<const float> voxels, std::span<float> result) const;

  /// A label map; needs order 0 or 1 and order_z 0. Values may be negative (-1: outside).
  std::vector<std::int16_t> labels(std::span<const std::int16_t> voxels, LabelRule rule = LabelRule::argmax) const;

 private:
  Shape3 shape_, new_shape_;
  std::optional<int> axis_;
  int order_, order_z_;
};

}  // namespace m3d
