// Ties are common here (a sample point half-way between two voxels), and which label wins one is decided by the last
// bit of a score. Scores are therefore summed exactly as SciPy's zoom sums them: over the 8 (4 in a slice) neighbours,
// last axis fastest, each 1 multiplied by the weights of the axes in turn. A voxel's neighbours carry at most 8 labels:
// its cost does not grow with the number of labels of the map.
#include "datasets/preprocessing/label_resize.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "datasets/parallel.h"
#include "datasets/preprocessing/resize.h"

namespace m3d {
namespace {

constexpr std::size_t kNeighbours = 8;

/// One output index along one axis.
struct LinearTap {
  std::int64_t below, above, nearest;
  std::array<double, 2> weights;
};

/// Beyond the outer voxels' centres both neighbours are the outer voxel, with the two weights that SciPy gives them.
std::vector<LinearTap> linear_taps(std::int64_t size, std::int64_t new_size) {
  std::vector<LinearTap> taps;
  const auto inside = [size](double index) {
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(index), 0, size - 1);
  };
  for (std::int64_t i = 0; i < new_size; ++i) {
    const double at = source_coordinate(i, size, new_size), below = std::floor(at), first = 1 - (at - below);
    taps.push_back({inside(below), inside(below + 1), inside(std::floor(at + 0.5)), {first, 1 - first}});
  }
  return taps;
}

/// The labels among a voxel's neighbours with their scores.
class Candidates {
 public:
  void add(std::int16_t label, double weight) {
    std::size_t i = 0;
    while (i < count_ && labels_[i] != label) ++i;
    if (i == count_) labels_[count_] = label, scores_[count_++] = 0;
    scores_[i] += weight;
  }

  std::int16_t largest(std::int16_t nearest) const {
    const double best = std::min(1.0, *std::max_element(scores_.begin(), scores_.begin() + count_));
    std::int16_t smallest = INT16_MAX;
    for (std::size_t i = 0; i < count_; ++i) {
      if (std::min(1.0, scores_[i]) < best) continue;
      if (labels_[i] == nearest) return nearest;
      smallest = std::min(smallest, labels_[i]);
    }
    return smallest;
  }

  std::int16_t last_above_half() const {
    std::int16_t found = INT16_MIN;
    for (std::size_t i = 0; i < count_; ++i)
      if (scores_[i] >= 0.5) found = std::max(found, labels_[i]);
    return found == INT16_MIN ? std::int16_t{0} : found;
  }

 private:
  std::array<std::int16_t, kNeighbours> labels_;
  std::array<double, kNeighbours> scores_;
  std::size_t count_ = 0;
};

/// The two or four input rows that an output row lies between, in SciPy's order, with the product of their weights.
struct RowNeighbours {
  std::array<const std::int16_t*, 4> rows;
  std::array<double, 4> weights;
  std::size_t count = 0;
  const std::int16_t* nearest;

  void add(const std::int16_t* row, double weight) {
    rows[count] = row;
    weights[count++] = weight;
  }
};

void resize_row(const RowNeighbours& from, const std::vector<LinearTap>& taps, LabelRule rule, std::int16_t* result) {
  for (const LinearTap& tap : taps) {
    const std::int16_t first = from.rows[0][tap.below];
    bool uniform = true;
    for (std::size_t r = 0; r < from.count; ++r)
      uniform = uniform && from.rows[r][tap.below] == first && from.rows[r][tap.above] == first;
    if (uniform) {
      *result++ = first;
      continue;
    }
    Candidates candidates;
    for (std::size_t r = 0; r < from.count; ++r) {
      candidates.add(from.rows[r][tap.below], from.weights[r] * tap.weights[0]);
      candidates.add(from.rows[r][tap.above], from.weights[r] * tap.weights[1]);
    }
    *result++ =
        rule == LabelRule::argmax ? candidates.largest(from.nearest[tap.nearest]) : candidates.last_above_half();
  }
}

}  // namespace

void resize_label_volume(const std::int16_t* voxels, const Shape3& shape, const Shape3& new_shape, LabelRule rule,
                         std::int16_t* result) {
  const auto z = linear_taps(shape[0], new_shape[0]), y = linear_taps(shape[1], new_shape[1]),
             x = linear_taps(shape[2], new_shape[2]);
  const auto row = [&](std::int64_t slice, std::int64_t line) { return voxels + (slice * shape[1] + line) * shape[2]; };
  parallel_for(new_shape[0], 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < new_shape[1]; ++j) {
        const LinearTap &a = z[static_cast<std::size_t>(i)], &b = y[static_cast<std::size_t>(j)];
        RowNeighbours from;
        from.nearest = row(a.nearest, b.nearest);
        from.add(row(a.below, b.below), a.weights[0] * b.weights[0]);
        from.add(row(a.below, b.above), a.weights[0] * b.weights[1]);
        from.add(row(a.above, b.below), a.weights[1] * b.weights[0]);
        from.add(row(a.above, b.above), a.weights[1] * b.weights[1]);
        resize_row(from, x, rule, result + (i * new_shape[1] + j) * new_shape[2]);
      }
  });
}

void resize_label_slices(const std::int16_t* voxels, const Shape3& shape, const Shape3& new_shape, LabelRule rule,
                         std::int16_t* result) {
  const AxisTaps slices(shape[0], new_shape[0], 0);
  const auto y = linear_taps(shape[1], new_shape[1]), x = linear_taps(shape[2], new_shape[2]);
  parallel_for(new_shape[0], 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int16_t* slice = voxels + slices.start[static_cast<std::size_t>(i)] * shape[1] * shape[2];
      for (std::int64_t j = 0; j < new_shape[1]; ++j) {
        const LinearTap& b = y[static_cast<std::size_t>(j)];
        RowNeighbours from;
        from.nearest = slice + b.nearest * shape[2];
        from.add(slice + b.below * shape[2], b.weights[0]);
        from.add(slice + b.above * shape[2], b.weights[1]);
        resize_row(from, x, rule, result + (i * new_shape[1] + j) * new_shape[2]);
      }
    }
  });
}

void resize_labels_nearest(const std::int16_t* voxels, const Shape3& shape, const Shape3& new_shape,
                           std::int16_t* result) {
  const AxisTaps z(shape[0], new_shape[0], 0), y(shape[1], new_shape[1], 0), x(shape[2], new_shape[2], 0);
  for (const std::int64_t slice : z.start)
    for (const std::int64_t line : y.start) {
      const std::int16_t* row = voxels + (slice * shape[1] + line) * shape[2];
      for (const std::int64_t column : x.start) *result++ = row[column];
    }
}

}  // namespace m3d
