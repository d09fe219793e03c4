#include "datasets/preprocessing/axes.h"

#include <cmath>

namespace m3d {

AxisMap towards_ras(const Geometry& geometry) {
  // nibabel's io_orientation: the file's axes choose in turn, each the world axis it is closest to among those left.
  std::array<bool, 3> taken{};
  AxisMap map;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    std::size_t closest = 3;
    for (std::size_t world = 0; world < 3; ++world) {
      const auto component = [&](std::size_t w) { return std::abs(geometry.direction[3 * w + axis]); };
      if (!taken[world] && (closest == 3 || component(world) > component(closest))) closest = world;
    }
    taken[closest] = true;
    const double lps = geometry.direction[3 * closest + axis];
    const double ras = closest < 2 ? -lps : lps;
    map.order[2 - closest] = static_cast<int>(2 - axis);
    map.flip[2 - closest] = ras < 0;
  }
  return map;
}

}  // namespace m3d
