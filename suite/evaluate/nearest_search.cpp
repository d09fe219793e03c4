#include "suite/evaluate/nearest_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "datasets/numerics/vector_clones.h"

namespace m3d {
namespace {

constexpr std::int64_t kLanes = 8;
using Lanes [[gnu::vector_size(kLanes * sizeof(double))]] = double;
using Steps [[gnu::vector_size(kLanes * sizeof(float))]] = float;

// A vector of voxels costs about an eighth of what a voxel costs in the transform.
constexpr std::int64_t kVectorsPerVoxel = 8;

/// What all searches in one box share.
struct SearchBox {
  Shape3 shape;
  std::array<double, 3> spacing_mm;
  std::int64_t row, plane;  // distances between rows and planes of `steps`; a row begins after kLanes voxels of margin
  /// [D, H, margin + W + margin]: voxels along y to the nearest seed of the same x and z; infinite where there is none,
  /// and in the margins.
  std::vector<float> steps;
  std::vector<double> squares;  // (x spacing)² for x = -(W + margin) … W + margin, in mm²

  const float* row_of(std::int64_t z, std::int64_t y) const { return steps.data() + z * plane + y * row + kLanes; }
  const double* squares_from(std::int64_t x) const { return squares.data() + shape[2] + kLanes + x; }
};

[[gnu::always_inline]] inline void one_more(float* __restrict__ row, const float* previous, std::int64_t width) {
  for (std::int64_t x = 0; x < width; ++x) row[x] = row[x] < previous[x] + 1 ? row[x] : previous[x] + 1;
}

/// From zeros at the seeds and infinity elsewhere to steps along y, all rows of a plane side by side.
M3D_VECTOR_CLONES
void sweep_plane(float* plane, std::int64_t height, std::int64_t row) {
  for (std::int64_t y = 1; y < height; ++y) one_more(plane + y * row, plane + (y - 1) * row, row);
  for (std::int64_t y = height - 1; y-- > 0;) one_more(plane + y * row, plane + (y + 1) * row, row);
}

SearchBox search_box(const std::vector<std::int64_t>& seeds, const Shape3& shape,
                     const std::array<double, 3>& spacing_mm) {
  SearchBox box{shape, spacing_mm, shape[2] + 2 * kLanes, 0, {}, {}};
  box.plane = shape[1] * box.row;
  box.steps.assign(static_cast<std::size_t>(shape[0] * box.plane), std::numeric_limits<float>::infinity());
  for (const std::int64_t seed : seeds)
    box.steps[static_cast<std::size_t>(seed / shape[2] * box.row + kLanes + seed % shape[2])] = 0;
  for (std::int64_t z = 0; z < shape[0]; ++z) sweep_plane(box.steps.data() + z * box.plane, shape[1], box.row);
  for (std::int64_t x = -(shape[2] + kLanes); x <= shape[2] + kLanes; ++x) {
    const double step = spacing_mm[2] * static_cast<double>(x);
    box.squares.push_back(step * step);
  }
  return box;
}

/// The least squared distance seen so far, for each place in a vector.
struct Nearest {
  Lanes squared;
  std::int64_t vectors = 0;

  [[gnu::always_inline]] double least() const {
    double result = squared[0];
    for (int lane = 1; lane < kLanes; ++lane) result = squared[lane] < result ? squared[lane] : result;
    return result;
  }
  /// The voxels of eight columns of one plane, of which `steps` and `squares` hold the distances along y and x.
  [[gnu::always_inline]] void look(const float* steps, const double* squares, double y_spacing, double z_squared) {
    Steps loaded;
    Lanes along_x;
    std::memcpy(&loaded, steps, sizeof loaded);
    std::memcpy(&along_x, squares, sizeof along_x);
    const Lanes along_y = __builtin_convertvector(loaded, Lanes) * y_spacing;
    const Lanes found = (along_y * along_y + along_x) + z_squared;
    squared = found < squared ? found : squared;
    ++vectors;
  }
  /// One row's columns near x, which lie below the centre first, and farther ones while they can be nearer.
  [[gnu::always_inline]] void look_along(const SearchBox& box, const float* row, std::int64_t x, double z_squared) {
    const double y_spacing = box.spacing_mm[1];
    look(row + x - kLanes, box.squares_from(-kLanes), y_spacing, z_squared);
    look(row + x, box.squares_from(0), y_spacing, z_squared);
    if (*box.squares_from(kLanes) + z_squared >= least()) return;
    for (std::int64_t away = kLanes; away < box.shape[2] && *box.squares_from(away) + z_squared < least();
         away += kLanes) {
      if (x + away < box.shape[2]) look(row + x + away, box.squares_from(away), y_spacing, z_squared);
      if (x - away > 0) look(row + x - away - kLanes, box.squares_from(-away - kLanes), y_spacing, z_squared);
    }
  }
};

/// False where more than `allowed` vectors were looked at.
M3D_VECTOR_CLONES
bool search(const SearchBox& box, const std::int64_t* queries, std::int64_t count, std::int64_t allowed,
            double* distances) {
  const std::int64_t depth = box.shape[0], height = box.shape[1], width = box.shape[2];
  std::int64_t looked_at = 0;
  for (std::int64_t i = 0; i < count && looked_at <= allowed; ++i) {
    const std::int64_t x = queries[i] % width, y = queries[i] / width % height, z = queries[i] / width / height;
    Nearest nearest{Lanes{} + std::numeric_limits<double>::infinity()};
    nearest.look_along(box, box.row_of(z, y), x, 0);
    for (std::int64_t away = 1; away < depth; ++away) {
      const double step = box.spacing_mm[0] * static_cast<double>(away), z_squared = step * step;
      if (z_squared >= nearest.least()) break;
      if (z >= away) nearest.look_along(box, box.row_of(z - away, y), x, z_squared);
      if (z + away < depth) nearest.look_along(box, box.row_of(z + away, y), x, z_squared);
    }
    distances[i] = std::sqrt(nearest.least());
    looked_at += nearest.vectors;
  }
  return looked_at <= allowed;
}

}  // namespace

std::optional<std::vector<double>> distances_by_search(const std::vector<std::int64_t>& seeds,
                                                       const std::vector<std::int64_t>& queries, const Shape3& shape,
                                                       const std::array<double, 3>& spacing_mm) {
  const SearchBox box = search_box(seeds, shape, spacing_mm);
  std::vector<double> distances(queries.size());
  if (!search(box, queries.data(), std::ssize(queries), kVectorsPerVoxel * voxel_count(shape), distances.data()))
    return std::nullopt;
  return distances;
}

}  // namespace m3d
