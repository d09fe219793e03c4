#include "datasets/image.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace m3d {
namespace {

// A direction rebuilt from a header's float32 quaternion may be off by sqrt(float epsilon) near half turns.
constexpr double kDirectionTolerance = 1e-3;
constexpr double kSpacingTolerance = 1e-4;  // relative
constexpr double kOriginTolerance = 1e-2;   // of the smallest spacing

}  // namespace

bool same_geometry(const Geometry& a, const Geometry& b) {
  if (a.shape != b.shape) return false;
  const double smallest = *std::min_element(a.spacing_mm.begin(), a.spacing_mm.end());
  for (std::size_t i = 0; i < 3; ++i) {
    if (std::abs(a.spacing_mm[i] - b.spacing_mm[i]) > kSpacingTolerance * a.spacing_mm[i]) return false;
    if (std::abs(a.origin_mm[i] - b.origin_mm[i]) > kOriginTolerance * smallest) return false;
  }
  for (std::size_t i = 0; i < 9; ++i)
    if (std::abs(a.direction[i] - b.direction[i]) > kDirectionTolerance) return false;
  return true;
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
