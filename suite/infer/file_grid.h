#pragma once
// Where the voxels of a case's crop lie in its file. Internal to this room.
#include "datasets/preprocessing/preprocessing.h"

namespace m3d {

/// Voxel (z, y, x) of the crop, along the prepared axes, is voxel begin + z * strides[0] + y * strides[1] +
/// x * strides[2] of the file, row-major. Strides of axes that run the other way are negative.
struct FileGrid {
  explicit FileGrid(const PreparedCase& prepared) {
    const AxisMap axes = prepared.planned ? prepared.planned->axes : AxisMap{};
    const Shape3& file = prepared.original.shape;
    const Shape3 file_strides{file[1] * file[2], file[2], 1};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const auto of_file = static_cast<std::size_t>(axes.order[axis]);
      const std::int64_t first = prepared.crop_begin[axis];
      strides[axis] = axes.flip[axis] ? -file_strides[of_file] : file_strides[of_file];
      begin += file_strides[of_file] * (axes.flip[axis] ? file[of_file] - 1 - first : first);
    }
  }
  std::int64_t row(std::int64_t z, std::int64_t y) const { return begin + z * strides[0] + y * strides[1]; }

  std::int64_t begin = 0;
  Shape3 strides{};
};

}  // namespace m3d
