#pragma once
// Orders of the axes of a volume. Internal to this room.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "datasets/images/image.h"

namespace m3d {

/// Axis i of the result is axis order[i] of what it is made from.
using AxisOrder = std::array<int, 3>;

inline AxisOrder inverse(const AxisOrder& order) {
  AxisOrder result{};
  for (int i = 0; i < 3; ++i) result[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = i;
  return result;
}

template <class T>
std::array<T, 3> permuted(const std::array<T, 3>& values, const AxisOrder& order) {
  const auto at = [&](std::size_t i) { return values[static_cast<std::size_t>(order[i])]; };
  return {at(0), at(1), at(2)};
}

/// The voxels [D, H, W] of `shape` with their axes in another order.
template <class T>
std::vector<T> transposed(std::span<const T> voxels, const Shape3& shape, const AxisOrder& order) {
  if (order == AxisOrder{0, 1, 2}) return {voxels.begin(), voxels.end()};
  const Shape3 strides = permuted(Shape3{shape[1] * shape[2], shape[2], 1}, order), sizes = permuted(shape, order);
  std::vector<T> result(voxels.size());
  // Tiles of the two fast axes, so that reading across rows and writing along them both stay in cache.
  constexpr std::int64_t tile = 32;
  for (std::int64_t a = 0; a < sizes[0]; ++a)
    for (std::int64_t b0 = 0; b0 < sizes[1]; b0 += tile)
      for (std::int64_t c0 = 0; c0 < sizes[2]; c0 += tile)
        for (std::int64_t b = b0; b < std::min(b0 + tile, sizes[1]); ++b)
          for (std::int64_t c = c0; c < std::min(c0 + tile, sizes[2]); ++c)
            result[static_cast<std::size_t>((a * sizes[1] + b) * sizes[2] + c)] =
                voxels[static_cast<std::size_t>(a * strides[0] + b * strides[1] + c * strides[2])];
  return result;
}

/// An order and flips: axis i of the result is axis order[i] of the source, backwards where flip[i].
struct AxisMap {
  AxisOrder order{0, 1, 2};
  std::array<bool, 3> flip{false, false, false};

  bool is_identity() const { return order == AxisOrder{0, 1, 2} && flip == std::array<bool, 3>{}; }
  AxisMap inverse() const { return {m3d::inverse(order), permuted(flip, m3d::inverse(order))}; }
  /// This map, then an order of the result's axes.
  AxisMap then(const AxisOrder& next) const { return {permuted(order, next), permuted(flip, next)}; }
};

/// The map to the closest canonical orientation of nibabel (x to the right, y to the front, z upwards), as axes
/// [D, H, W] of the file.
AxisMap towards_ras(const Geometry& geometry);

/// The voxels [D, H, W] of `shape`, mapped.
template <class T>
std::vector<T> mapped(std::span<const T> voxels, const Shape3& shape, const AxisMap& map) {
  const Shape3 sizes = permuted(shape, map.order);
  std::vector<T> result = transposed(voxels, shape, map.order);
  const auto row = [&](std::int64_t a, std::int64_t b) { return result.begin() + (a * sizes[1] + b) * sizes[2]; };
  for (std::int64_t a = 0; map.flip[0] && a < sizes[0] / 2; ++a)
    std::swap_ranges(row(a, 0), row(a + 1, 0), row(sizes[0] - 1 - a, 0));
  for (std::int64_t a = 0; map.flip[1] && a < sizes[0]; ++a)
    for (std::int64_t b = 0; b < sizes[1] / 2; ++b)
      std::swap_ranges(row(a, b), row(a, b + 1), row(a, sizes[1] - 1 - b));
  for (std::int64_t a = 0; map.flip[2] && a < sizes[0]; ++a)
    for (std::int64_t b = 0; b < sizes[1]; ++b) std::reverse(row(a, b), row(a, b + 1));
  return result;
}

}  // namespace m3d
