#pragma once
// Exact Euclidean distances between voxel sets by a separable transform: distances along x by two sweeps, then the
// lower envelope of parabolas along y and z (Felzenszwalb and Huttenlocher 2012), linear in the voxels of the box.
#include <array>
#include <cstdint>
#include <vector>

#include "datasets/images/image.h"

namespace m3d {

/// For every voxel of `queries` the distance in mm to the nearest voxel of `seeds`; both are ascending row-major
/// indices into `shape`, and `seeds` is not empty.
std::vector<double> distances_to(const std::vector<std::int64_t>& seeds, const std::vector<std::int64_t>& queries,
                                 const Shape3& shape, const std::array<double, 3>& spacing_mm);

}  // namespace m3d
