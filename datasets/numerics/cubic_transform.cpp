#include "datasets/numerics/cubic_transform.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "datasets/numerics/spline_lines.h"
#include "datasets/preprocessing/resize.h"

namespace m3d {
namespace {

constexpr std::int64_t kReach = 16;  // |pole of the cubic spline|^16 is 7e-10
constexpr std::int64_t kRowsTogether = 16;
constexpr std::int64_t kColumnsTogether = 256;

/// The axis keeps its coordinates: slices of a dummy-2D patch stay whole and are sampled one by one.
bool untouched(const SpatialGrid& grid, std::size_t axis) {
  for (std::size_t k = 0; k < 3; ++k)
    if (grid.matrix[3 * axis + k] != (k == axis ? 1.0 : 0.0)) return false;
  return grid.patch[axis] == grid.loader_patch[axis];
}

/// Lines along the contiguous axis lie one after the other: they are filtered in groups, turned over.
void filter_rows(double* values, std::int64_t rows, std::int64_t length) {
  std::vector<double> lines(static_cast<std::size_t>(length * kRowsTogether));
  for (std::int64_t first = 0; first < rows; first += kRowsTogether) {
    const std::int64_t count = std::min(kRowsTogether, rows - first);
    double* group = values + first * length;
    for (std::int64_t r = 0; r < count; ++r)
      for (std::int64_t i = 0; i < length; ++i)
        lines[static_cast<std::size_t>(i * kRowsTogether + r)] = group[r * length + i];
    filter_mirrored(lines.data(), kRowsTogether, count, length);
    for (std::int64_t r = 0; r < count; ++r)
      for (std::int64_t i = 0; i < length; ++i)
        group[r * length + i] = lines[static_cast<std::size_t>(i * kRowsTogether + r)];
  }
}

void filter_columns(double* values, std::int64_t length, std::int64_t columns) {
  for (std::int64_t first = 0; first < columns; first += kColumnsTogether)
    filter_mirrored(values + first, columns, std::min(kColumnsTogether, columns - first), length);
}

/// Where along one axis a sample reads: offsets of its taps in the box, and their weights.
struct Taps {
  std::array<std::int64_t, 4> offset{};
  std::array<double, 4> weight{1, 0, 0, 0};
};

/// One axis of the loader's patch and of the box that is at hand.
struct Axis {
  std::int64_t size = 1, begin = 0, stride = 1;
  bool whole = false;

  bool contains(double at) const { return at >= 0 && at <= static_cast<double>(size - 1); }

  std::int64_t offset(std::int64_t index) const {
    if (index < 0) index = -index;
    if (index > size - 1) index = 2 * (size - 1) - index;
    return (std::clamp<std::int64_t>(index, 0, size - 1) - begin) * stride;
  }

  /// `count` 4: the cubic spline's; 2: the linear one's.
  Taps taps(double at, std::int64_t count) const {
    Taps result;
    if (whole) {
      result.offset[0] = offset(static_cast<std::int64_t>(std::nearbyint(at)));
      return result;
    }
    const double below = std::floor(at);
    const std::int64_t first = static_cast<std::int64_t>(below) - (count == 4 ? 1 : 0);
    for (std::int64_t t = 0; t < count; ++t) result.offset[static_cast<std::size_t>(t)] = offset(first + t);
    spline_weights(at - below, count, result.weight.data());
    return result;
  }

  std::size_t tap_count(std::size_t count) const { return whole ? 1 : count; }
};

class CubicSampler {
 public:
  CubicSampler(const SpatialGrid& grid, const SourceBox& box) : grid_(grid), shape_(box.size()) {
    const std::int64_t strides[3] = {shape_[1] * shape_[2], shape_[2], 1};
    for (std::size_t axis = 0; axis < 3; ++axis)
      axes_[axis] = {grid.loader_patch[axis], box.begin[axis], strides[axis], untouched(grid, axis)};
  }

  /// The spline's coefficients of one channel.
  std::vector<double> coefficients(const float* voxels) const {
    std::vector<double> values(voxels, voxels + voxel_count(shape_));
    const auto [depth, height, width] = shape_;
    if (!axes_[2].whole) filter_rows(values.data(), depth * height, width);
    for (std::int64_t z = 0; z < depth && !axes_[1].whole; ++z)
      filter_columns(values.data() + z * height * width, height, width);
    if (!axes_[0].whole) filter_columns(values.data(), depth, height * width);
    return values;
  }

  /// use(index of the target's voxel, its coordinates in the loader's patch; null outside of that)
  template <class Use>
  void each_voxel(const Use& use) const {
    std::size_t index = 0;
    for (std::int64_t z = 0; z < grid_.patch[0]; ++z)
      for (std::int64_t y = 0; y < grid_.patch[1]; ++y)
        for (std::int64_t x = 0; x < grid_.patch[2]; ++x, ++index) {
          const std::array<double, 3> at = position(z, y, x);
          const bool inside = axes_[0].contains(at[0]) && axes_[1].contains(at[1]) && axes_[2].contains(at[2]);
          use(index, inside ? &at : nullptr);
        }
  }

  double cubic(const std::vector<double>& coefficients, const std::array<double, 3>& at) const {
    const Taps z = axes_[0].taps(at[0], 4), y = axes_[1].taps(at[1], 4), x = axes_[2].taps(at[2], 4);
    double sum = 0;
    for (std::size_t i = 0; i < axes_[0].tap_count(4); ++i)
      for (std::size_t j = 0; j < axes_[1].tap_count(4); ++j) {
        const double* row = coefficients.data() + z.offset[i] + y.offset[j];
        double along_row = 0;
        for (std::size_t k = 0; k < axes_[2].tap_count(4); ++k) along_row += row[x.offset[k]] * x.weight[k];
        sum += along_row * (z.weight[i] * y.weight[j]);
      }
    return sum;
  }

  std::int16_t label(const std::int16_t* labels, const std::array<double, 3>& at) const {
    const Taps z = axes_[0].taps(at[0], 2), y = axes_[1].taps(at[1], 2), x = axes_[2].taps(at[2], 2);
    std::array<std::int16_t, 8> known{};
    std::array<double, 8> score{};
    std::size_t count = 0;
    for (std::size_t i = 0; i < axes_[0].tap_count(2); ++i)
      for (std::size_t j = 0; j < axes_[1].tap_count(2); ++j)
        for (std::size_t k = 0; k < axes_[2].tap_count(2); ++k) {
          const std::int16_t value = labels[z.offset[i] + y.offset[j] + x.offset[k]];
          const auto place =
              static_cast<std::size_t>(std::find(known.begin(), known.begin() + count, value) - known.begin());
          if (place == count) known[count++] = value;
          score[place] += z.weight[i] * y.weight[j] * x.weight[k];
        }
    bool found = false;
    std::int16_t winner = 0;
    for (std::size_t i = 0; i < count; ++i)
      if (score[i] >= 0.5 && (!found || known[i] > winner)) winner = known[i], found = true;
    return winner;
  }

 private:
  std::array<double, 3> position(std::int64_t z, std::int64_t y, std::int64_t x) const {
    const std::array<std::int64_t, 3> voxel{z, y, x};
    std::array<double, 3> at{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      for (std::size_t k = 0; k < 3; ++k)
        at[axis] += grid_.matrix[3 * axis + k] *
                    (static_cast<double>(voxel[k]) - (static_cast<double>(grid_.patch[k]) - 1) / 2);
      at[axis] += static_cast<double>(grid_.loader_patch[axis]) / 2 - 0.5;
    }
    return at;
  }

  const SpatialGrid& grid_;
  Shape3 shape_;
  std::array<Axis, 3> axes_;
};

}  // namespace

SourceBox cubic_source_box(const SpatialGrid& grid) {
  SourceBox box = source_box(grid);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    box.begin[axis] = std::max<std::int64_t>(0, box.begin[axis] - kReach);
    box.end[axis] = std::min(grid.loader_patch[axis], box.end[axis] + kReach);
  }
  return box;
}

void sample_patch_cubic(const SpatialGrid& grid, const SourceBox& box, std::span<const float> image,
                        std::span<const std::int16_t> labels, std::span<float> image_target,
                        std::span<std::int16_t> labels_target) {
  const auto given = static_cast<std::size_t>(voxel_count(box.size()));
  const auto wanted = static_cast<std::size_t>(voxel_count(grid.patch));
  const CubicSampler sampler(grid, box);
  for (std::size_t c = 0; c * wanted < image_target.size(); ++c) {
    const std::vector<double> coefficients = sampler.coefficients(image.data() + c * given);
    sampler.each_voxel([&](std::size_t i, const std::array<double, 3>* at) {
      image_target[c * wanted + i] = at ? static_cast<float>(sampler.cubic(coefficients, *at)) : 0.0F;
    });
  }
  sampler.each_voxel([&](std::size_t i, const std::array<double, 3>* at) {
    labels_target[i] = at ? sampler.label(labels.data(), *at) : std::int16_t{0};
  });
}

}  // namespace m3d
