#pragma once
// The surface of a label as triangles. No ITK here: only label_surface.cpp knows it.
#include <array>
#include <cstdint>
#include <vector>

#include "datasets/image.h"

namespace m3d {

using Point3 = std::array<double, 3>;

/// A closed surface: every edge belongs to as many triangles in one direction as in the other, and corners run
/// counter-clockwise seen from outside.
struct Surface {
  std::vector<Point3> points;
  std::vector<std::array<std::uint32_t, 3>> triangles;
};

/// Marching cubes (Lorensen and Cline 1987; ITK's) over the voxels that have `value`, half-way between voxel centres.
/// Points are millimetres in ITK's LPS frame (left, posterior, superior). Empty where no voxel has the value.
Surface label_surface(const LabelImage& labels, int value);

}  // namespace m3d
