#include "datasets/images/image.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace m3d {
namespace {

constexpr double kTolerance = 1e-3;  // mm, and of direction cosines

}  // namespace

bool same_geometry(const Geometry& a, const Geometry& b) {
  if (a.shape != b.shape) return false;
  const auto close = [](double x, double y) { return std::abs(x - y) <= kTolerance; };
  return std::equal(a.spacing_mm.begin(), a.spacing_mm.end(), b.spacing_mm.begin(), close) &&
         std::equal(a.origin_mm.begin(), a.origin_mm.end(), b.origin_mm.begin(), close) &&
         std::equal(a.direction.begin(), a.direction.end(), b.direction.begin(), close);
}

std::string describe(const Geometry& geometry) {
  std::ostringstream text;
  const auto& [shape, spacing, origin, direction] = geometry;
  text << shape[0] << "x" << shape[1] << "x" << shape[2] << " voxels, spacing " << spacing[0] << "x" << spacing[1]
       << "x" << spacing[2] << " mm, origin (" << origin[0] << ", " << origin[1] << ", " << origin[2]
       << "), direction (";
  for (std::size_t i = 0; i < 9; ++i) text << (i ? " " : "") << direction[i];
  text << ")";
  return text.str();
}

}  // namespace m3d
