#include "suite/evaluate/distance_transform.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace m3d {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int32_t kNoSeed = std::numeric_limits<std::int32_t>::max();

/// The lower envelope of the parabolas f[i] + (spacing (x - i))² over one line of voxels.
class LowerEnvelope {
 public:
  LowerEnvelope(std::int64_t length, double spacing)
      : spacing_(spacing), roots_(static_cast<std::size_t>(length)), starts_(static_cast<std::size_t>(length)) {}

  /// Infinite values of `f` have no parabola.
  void build(const double* f, std::int64_t length) {
    count_ = 0;
    const double scale = 1.0 / (spacing_ * spacing_);
    for (std::int64_t i = 0; i < length; ++i)
      if (f[i] < kInfinity) insert(f, i, scale);
  }

  bool empty() const { return count_ == 0; }

  /// Calls visit(position, lowest value) for ascending positions.
  template <class Positions, class Visit>
  void evaluate(const double* f, const Positions& positions, Visit visit) const {
    std::size_t k = 0;
    for (const std::int64_t x : positions) {
      while (k + 1 < count_ && starts_[k + 1] <= static_cast<double>(x)) ++k;
      const double step = spacing_ * static_cast<double>(x - roots_[k]);
      visit(x, f[roots_[k]] + step * step);
    }
  }

 private:
  void insert(const double* f, std::int64_t i, double scale) {
    double start = -kInfinity;
    while (count_ > 0) {
      const std::int64_t last = roots_[count_ - 1];
      start = 0.5 * ((f[i] - f[last]) * scale / static_cast<double>(i - last) + static_cast<double>(i + last));
      if (start > starts_[count_ - 1]) break;
      --count_;
      start = -kInfinity;
    }
    roots_[count_] = i;
    starts_[count_] = start;
    ++count_;
  }

  double spacing_;
  std::vector<std::int64_t> roots_;  // voxels whose parabolas form the envelope
  std::vector<double> starts_;       // from where each is the lowest, in voxels
  std::size_t count_ = 0;
};

/// 0, 1, … length - 1 as a range.
struct Counter {
  struct Iterator {
    std::int64_t value;
    std::int64_t operator*() const { return value; }
    void operator++() { ++value; }
    bool operator!=(const Iterator& other) const { return value != other.value; }
  };
  std::int64_t length;
  Iterator begin() const { return {0}; }
  Iterator end() const { return {length}; }
};

/// Steps to the nearest seed of the row; false where the row has none.
bool sweep_row(std::int32_t* row, std::int64_t width) {
  std::int32_t steps = kNoSeed;
  for (std::int64_t x = 0; x < width; ++x) row[x] = steps = row[x] == 0 ? 0 : (steps == kNoSeed ? kNoSeed : steps + 1);
  if (steps == kNoSeed) return false;
  for (std::int64_t x = width - 1; x >= 0; --x)
    row[x] = steps = std::min(row[x], steps == kNoSeed ? kNoSeed : steps + 1);
  return true;
}

/// Squared distances within every slice, infinite throughout slices without a seed.
class SliceDistances {
 public:
  SliceDistances(const std::vector<std::int64_t>& seeds, const Shape3& shape, const std::array<double, 3>& spacing)
      : shape_(shape), spacing_(spacing), squared_(static_cast<std::size_t>(voxel_count(shape)), kInfinity) {
    const std::int64_t plane = shape[1] * shape[2];
    auto next = seeds.begin();
    while (next != seeds.end()) {
      const std::int64_t z = *next / plane;
      const auto end = std::lower_bound(next, seeds.end(), (z + 1) * plane);
      fill_slice(z, next, end);
      next = end;
    }
  }

  double at(std::int64_t z, std::int64_t column) const {
    return squared_[static_cast<std::size_t>(z * shape_[1] * shape_[2] + column)];
  }

 private:
  using Seed = std::vector<std::int64_t>::const_iterator;

  void fill_slice(std::int64_t z, Seed begin, Seed end) {
    const std::int64_t height = shape_[1], width = shape_[2], first = z * height * width;
    steps_.assign(static_cast<std::size_t>(height * width), kNoSeed);
    for (Seed seed = begin; seed != end; ++seed) steps_[static_cast<std::size_t>(*seed - first)] = 0;
    line_.resize(static_cast<std::size_t>(height));
    row_has_seed_.resize(static_cast<std::size_t>(height));
    for (std::int64_t y = 0; y < height; ++y)
      row_has_seed_[static_cast<std::size_t>(y)] = sweep_row(steps_.data() + y * width, width);
    LowerEnvelope envelope(height, spacing_[1]);
    for (std::int64_t x = 0; x < width; ++x) {
      for (std::int64_t y = 0; y < height; ++y) line_[static_cast<std::size_t>(y)] = squared_step(y, x);
      envelope.build(line_.data(), height);
      envelope.evaluate(line_.data(), Counter{height}, [&](std::int64_t y, double value) {
        squared_[static_cast<std::size_t>(first + y * width + x)] = value;
      });
    }
  }

  double squared_step(std::int64_t y, std::int64_t x) const {
    if (!row_has_seed_[static_cast<std::size_t>(y)]) return kInfinity;
    const double step = spacing_[2] * static_cast<double>(steps_[static_cast<std::size_t>(y * shape_[2] + x)]);
    return step * step;
  }

  Shape3 shape_;
  std::array<double, 3> spacing_;
  std::vector<double> squared_;
  std::vector<std::int32_t> steps_;
  std::vector<char> row_has_seed_;
  std::vector<double> line_;
};

/// Queries sorted by column (y, x), ascending in z within each: `order` holds positions in `queries`.
struct Columns {
  std::vector<std::int64_t> begin;  // first entry of each column in `order`, and the end
  std::vector<std::int64_t> order;
};

Columns group_by_column(const std::vector<std::int64_t>& queries, std::int64_t columns) {
  Columns grouped{std::vector<std::int64_t>(static_cast<std::size_t>(columns + 1), 0),
                  std::vector<std::int64_t>(queries.size())};
  for (const std::int64_t query : queries) ++grouped.begin[static_cast<std::size_t>(query % columns + 1)];
  for (std::size_t i = 1; i < grouped.begin.size(); ++i) grouped.begin[i] += grouped.begin[i - 1];
  std::vector<std::int64_t> next(grouped.begin.begin(), grouped.begin.end() - 1);
  for (std::size_t i = 0; i < queries.size(); ++i)
    grouped.order[static_cast<std::size_t>(next[static_cast<std::size_t>(queries[i] % columns)]++)] =
        static_cast<std::int64_t>(i);
  return grouped;
}

}  // namespace

std::vector<double> distances_to(const std::vector<std::int64_t>& seeds, const std::vector<std::int64_t>& queries,
                                 const Shape3& shape, const std::array<double, 3>& spacing_mm) {
  const std::int64_t plane = shape[1] * shape[2];
  const SliceDistances slices(seeds, shape, spacing_mm);
  const Columns columns = group_by_column(queries, plane);
  LowerEnvelope envelope(shape[0], spacing_mm[0]);
  std::vector<double> line(static_cast<std::size_t>(shape[0])), distances(queries.size());
  std::vector<std::int64_t> positions;
  for (std::int64_t column = 0; column < plane; ++column) {
    const std::int64_t begin = columns.begin[static_cast<std::size_t>(column)];
    const std::int64_t end = columns.begin[static_cast<std::size_t>(column + 1)];
    if (begin == end) continue;
    for (std::int64_t z = 0; z < shape[0]; ++z) line[static_cast<std::size_t>(z)] = slices.at(z, column);
    envelope.build(line.data(), shape[0]);
    positions.clear();
    for (std::int64_t i = begin; i < end; ++i)
      positions.push_back(queries[static_cast<std::size_t>(columns.order[static_cast<std::size_t>(i)])] / plane);
    std::int64_t next = begin;
    envelope.evaluate(line.data(), positions, [&](std::int64_t, double squared) {
      distances[static_cast<std::size_t>(columns.order[static_cast<std::size_t>(next++)])] = std::sqrt(squared);
    });
  }
  return distances;
}

}  // namespace m3d
