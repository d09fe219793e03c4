#include "datasets/preprocessing/resampling.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "datasets/preprocessing/axes.h"
#include "datasets/preprocessing/label_resize.h"
#include "datasets/preprocessing/resize.h"

namespace m3d {
namespace {

constexpr double kAnisotropic = 3;

bool is_anisotropic(const Spacing3& spacing) {
  const auto [smallest, largest] = std::minmax_element(spacing.begin(), spacing.end());
  return *largest / *smallest > kAnisotropic;
}

std::optional<int> axis_of_largest(const Spacing3& spacing) {
  const double largest = *std::max_element(spacing.begin(), spacing.end());
  if (std::count_if(spacing.begin(), spacing.end(), [&](double s) { return largest / s == 1; }) != 1) return {};
  return static_cast<int>(std::max_element(spacing.begin(), spacing.end()) - spacing.begin());
}

/// Brings `axis` to the front; the others keep their order.
AxisOrder axis_first(int axis) {
  return axis == 0 ? AxisOrder{0, 1, 2} : axis == 1 ? AxisOrder{1, 0, 2} : AxisOrder{2, 0, 1};
}

/// Calls resize(voxels, shape, new shape, result) with `axis` in front, whichever it is.
template <class T, class Resize>
void with_axis_first(std::span<const T> voxels, const Shape3& shape, const Shape3& new_shape, int axis,
                     std::span<T> result, const Resize& resize) {
  if (axis == 0) return resize(voxels.data(), shape, new_shape, result.data());
  const AxisOrder order = axis_first(axis);
  const Shape3 turned = permuted(new_shape, order);
  std::vector<T> resized(result.size());
  resize(transposed(voxels, shape, order).data(), permuted(shape, order), turned, resized.data());
  const std::vector<T> back = transposed(std::span<const T>(resized), turned, inverse(order));
  std::copy(back.begin(), back.end(), result.begin());
}

}  // namespace

Shape3 shape_at_spacing(const Shape3& shape, const Spacing3& spacing, const Spacing3& new_spacing) {
  Shape3 result;
  for (std::size_t axis = 0; axis < 3; ++axis)
    result[axis] =
        static_cast<std::int64_t>(std::nearbyint(spacing[axis] / new_spacing[axis] * static_cast<double>(shape[axis])));
  return result;
}

std::optional<int> separate_axis(const Spacing3& current, const Spacing3& target, const ResamplingRule& rule) {
  if (rule.force_separate_z) return *rule.force_separate_z ? axis_of_largest(current) : std::nullopt;
  if (is_anisotropic(current)) return axis_of_largest(current);
  if (is_anisotropic(target)) return axis_of_largest(target);
  return {};
}

Resampling::Resampling(const Shape3& shape, const Shape3& new_shape, const Spacing3& current, const Spacing3& target,
                       const ResamplingRule& rule)
    : shape_(shape),
      new_shape_(new_shape),
      axis_(separate_axis(current, target, rule)),
      order_(rule.order),
      order_z_(rule.order_z) {
  for (const int order : {order_, order_z_})
    if (order != 0 && order != 1 && order != 3)
      throw std::invalid_argument("resampling has the orders 0, 1 and 3, not " + std::to_string(order));
  if (*std::min_element(new_shape.begin(), new_shape.end()) < 1)
    throw std::invalid_argument("resampling to an empty grid");
}

std::vector<float> Resampling::image(std::span<const float> voxels) const {
  std::vector<float> result(static_cast<std::size_t>(voxel_count(new_shape_)));
  image(voxels, result);
  return result;
}

void Resampling::image(std::span<const float> voxels, std::span<float> result) const {
  if (is_identity())
    std::copy(voxels.begin(), voxels.end(), result.begin());
  else if (!axis_)
    resize_volume(voxels.data(), shape_, new_shape_, order_, result.data());
  else
    with_axis_first<float>(voxels, shape_, new_shape_, *axis_, result,
                           [&](const float* from, const Shape3& shape, const Shape3& new_shape, float* to) {
                             resize_slices(from, shape, new_shape, order_, order_z_, to);
                           });
}

std::vector<std::int16_t> Resampling::labels(std::span<const std::int16_t> voxels, LabelRule rule) const {
  if (is_identity()) return {voxels.begin(), voxels.end()};
  if (order_ > 1 || (axis_ && order_z_ != 0))
    throw std::invalid_argument("label maps are resampled with order 0 or 1, and order_z 0");
  std::vector<std::int16_t> result(static_cast<std::size_t>(voxel_count(new_shape_)));
  if (order_ == 0)
    resize_labels_nearest(voxels.data(), shape_, new_shape_, result.data());
  else if (!axis_)
    resize_label_volume(voxels.data(), shape_, new_shape_, rule, result.data());
  else
    with_axis_first<std::int16_t>(voxels, shape_, new_shape_, *axis_, result,
                                  [&](const std::int16_t* from, const Shape3& shape, const Shape3& new_shape,
                                      std::int16_t* to) { resize_label_slices(from, shape, new_shape, rule, to); });
  return result;
}

}  // namespace m3d
