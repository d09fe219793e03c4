#pragma once
// Distances from the surface of one mask to that of another by a search around each voxel: masks that resemble each
// other lie a few voxels apart, and then a few rows tell the distance. Internal to this room.
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "datasets/images/image.h"

namespace m3d {

/// As distances_to (distance_transform.h), the same bits but where two voxels are equally near. Nothing where the
/// search would take longer than a transform of the whole box: masks that lie far apart. Whether it does depends on the
/// arguments alone.
std::optional<std::vector<double>> distances_by_search(const std::vector<std::int64_t>& seeds,
                                                       const std::vector<std::int64_t>& queries, const Shape3& shape,
                                                       const std::array<double, 3>& spacing_mm);

}  // namespace m3d
