#pragma once
// The non-zero region of a case (nnunet_conventions.md §2). Internal to this room.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "datasets/images/image.h"

namespace m3d {

/// A half-open box along [D, H, W].
struct Box {
  Shape3 begin{}, end{};
  Shape3 shape() const { return {end[0] - begin[0], end[1] - begin[1], end[2] - begin[2]}; }
};

/// 1 where any channel is not 0, holes filled: zeros that cannot be reached from outside the volume over shared faces.
std::vector<std::uint8_t> nonzero_mask(const std::vector<ImageF>& channels);

/// The smallest box around the mask's ones; the whole volume where there are none.
Box bounding_box(const std::vector<std::uint8_t>& mask, const Shape3& shape);

/// The voxels of `box`, row-major.
template <class T>
std::vector<T> cropped(const std::vector<T>& voxels, const Shape3& shape, const Box& box) {
  std::vector<T> result;
  result.reserve(static_cast<std::size_t>(voxel_count(box.shape())));
  for (std::int64_t z = box.begin[0]; z < box.end[0]; ++z)
    for (std::int64_t y = box.begin[1]; y < box.end[1]; ++y) {
      const auto row = voxels.begin() + (z * shape[1] + y) * shape[2];
      result.insert(result.end(), row + box.begin[2], row + box.end[2]);
    }
  return result;
}

/// The same within the vector's own memory.
template <class T>
void crop_in_place(std::vector<T>& voxels, const Shape3& shape, const Box& box) {
  auto target = voxels.begin();
  for (std::int64_t z = box.begin[0]; z < box.end[0]; ++z)
    for (std::int64_t y = box.begin[1]; y < box.end[1]; ++y) {
      const auto row = voxels.begin() + (z * shape[1] + y) * shape[2];
      target = std::copy(row + box.begin[2], row + box.end[2], target);
    }
  voxels.erase(target, voxels.end());
}

}  // namespace m3d
