#include "datasets/preprocessing/resize.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "datasets/parallel.h"
#include "datasets/preprocessing/slice_resizer.h"

namespace m3d {
namespace {

constexpr std::int64_t kSplinePadding = 12;  // SciPy's, before it prefilters an edge-extended line

struct Clip {
  double low, high;
  float operator()(double value) const { return static_cast<float>(std::clamp(value, low, high)); }
};

/// Slices that a thread takes at once: few enough to share the work, many enough to reuse a SliceResizer's buffers.
std::int64_t slice_grain(std::int64_t slices) { return std::max<std::int64_t>(1, slices / (4 * parallel_threads())); }

/// Some columns of a volume's planes, all its rows.
struct ColumnBlock {
  std::int64_t rows, width;   // of the block
  std::int64_t first, whole;  // where it begins, and the width of the volume
};

/// Along the slowest axis: the block's planes [n, rows, width] in double → its columns of `result` [new n, rows,
/// whole].
template <class Finish>
void resize_columns(const std::vector<double>& planes, const ColumnBlock& block, const AxisTaps& axis,
                    const Finish& finish, float* result) {
  const std::int64_t step = columns_together(axis), steps = (block.width + step - 1) / step;
  parallel_for(block.rows * steps, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> lines(static_cast<std::size_t>(axis.padded() * step)), values(static_cast<std::size_t>(step));
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i / steps, x = i % steps * step, count = std::min(step, block.width - x);
      for (std::int64_t z = 0; z < axis.size; ++z) {
        const auto from = planes.begin() + (z * block.rows + row) * block.width + x;
        std::copy(from, from + count, lines.begin() + (axis.front + z) * step);
      }
      pad_and_filter(lines.data(), step, count, axis);
      for (std::int64_t z = 0; z < axis.new_size; ++z) {
        combine_taps(lines.data(), step, count, axis, z, values.data());
        std::transform(values.begin(), values.begin() + count,
                       result + (z * block.rows + row) * block.whole + block.first + x, finish);
      }
    }
  });
}

/// Outputs j of `axis` (order 0) that read input `index`, as a half-open range.
std::pair<std::int64_t, std::int64_t> readers_of(const AxisTaps& axis, std::int64_t index) {
  const auto [first, last] = std::equal_range(axis.start.begin(), axis.start.end(), index);
  return {first - axis.start.begin(), last - axis.start.begin()};
}

}  // namespace

void spline_weights(double fraction, std::int64_t taps, double* weights) {
  const double y = fraction, z = 1 - fraction;
  if (taps == 2) {
    weights[0] = z;
  } else if (taps == 4) {
    weights[0] = z * z * z / 6;
    weights[1] = (y * y * (y - 2) * 3 + 4) / 6;
    weights[2] = (z * z * (z - 2) * 3 + 4) / 6;
  }
  weights[taps - 1] = 1;
  for (std::int64_t t = 0; t + 1 < taps; ++t) weights[taps - 1] -= weights[t];
}

double source_coordinate(std::int64_t index, std::int64_t size, std::int64_t new_size) {
  const double scale = static_cast<double>(size) / static_cast<double>(new_size);
  return (static_cast<double>(index) + 0.5) * scale - 0.5;
}

AxisTaps::AxisTaps(std::int64_t n, std::int64_t new_n, int order) : size(n), new_size(new_n), taps(order + 1) {
  if (is_identity()) {
    taps = 1;
  } else if (order == 3) {
    front = back = kSplinePadding;
    prefilter = true;
  } else if (order == 1) {
    back = 1;
  }
  weights.resize(static_cast<std::size_t>(new_size * taps));
  for (std::int64_t i = 0; i < new_size; ++i) {
    double at = source_coordinate(i, size, new_size);
    if (!prefilter) at = std::clamp(at, 0.0, static_cast<double>(size - 1));
    const double below = std::floor(taps == 1 ? at + 0.5 : at);
    start.push_back(static_cast<std::int64_t>(below) + front - (taps == 4 ? 1 : 0));
    spline_weights(at - below, taps, weights.data() + i * taps);
  }
}

Range range_of(const float* voxels, std::int64_t count) {
  constexpr std::int64_t grain = 1 << 18;
  Range range{voxels[0], voxels[0]};
  std::mutex mutex;
  parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
    float low = voxels[begin], high = low;
    for (std::int64_t i = begin; i < end; ++i) low = std::min(low, voxels[i]), high = std::max(high, voxels[i]);
    const std::lock_guard lock(mutex);
    range = {std::min(range.low, low), std::max(range.high, high)};
  });
  return range;
}

void resize_volume(const float* voxels, const Shape3& shape, const Shape3& new_shape, int order, float* result,
                   std::int64_t at_once) {
  const AxisTaps z(shape[0], new_shape[0], order), y(shape[1], new_shape[1], order), x(shape[2], new_shape[2], order);
  const Range range = range_of(voxels, voxel_count(shape));
  const Clip clip{range.low, range.high};
  const std::int64_t plane = shape[1] * shape[2], new_plane = new_shape[1] * new_shape[2];
  const auto for_slices = [&](std::int64_t first, std::int64_t width, const auto& store) {
    parallel_for(shape[0], slice_grain(shape[0]), [&](std::int64_t begin, std::int64_t end) {
      SliceResizer resizer(y, x, first, width);
      for (std::int64_t i = begin; i < end; ++i)
        resizer.run(voxels + i * plane, [&](std::int64_t row, std::int64_t column, const double* values,
                                            std::int64_t n) { store(i, row, column, values, n); });
    });
  };
  if (z.is_identity()) {
    for_slices(0, new_shape[2], [&](auto i, auto row, auto column, const double* values, std::int64_t n) {
      std::transform(values, values + n, result + i * new_plane + row * new_shape[2] + column, clip);
    });
    return;
  }
  // A block of columns at a time: the planes in double are then a bounded part of the memory.
  const std::int64_t columns = std::max<std::int64_t>(at_once / (shape[0] * new_shape[1]) / 16 * 16, 16);
  std::vector<double> planes;
  for (std::int64_t first = 0; first < new_shape[2]; first += columns) {
    const ColumnBlock block{new_shape[1], std::min(columns, new_shape[2] - first), first, new_shape[2]};
    planes.resize(static_cast<std::size_t>(shape[0] * block.rows * block.width));
    for_slices(first, block.width, [&](auto i, auto row, auto column, const double* values, std::int64_t n) {
      std::copy(values, values + n, planes.begin() + (i * block.rows + row) * block.width + column);
    });
    resize_columns(planes, block, z, clip, result);
  }
}

void resize_slices(const float* voxels, const Shape3& shape, const Shape3& new_shape, int order, int order_z,
                   float* result) {
  const AxisTaps z(shape[0], new_shape[0], order_z), y(shape[1], new_shape[1], order), x(shape[2], new_shape[2], order);
  const std::int64_t plane = shape[1] * shape[2], new_plane = new_shape[1] * new_shape[2];
  const bool nearest = z.taps == 1;
  std::vector<double> planes(nearest ? 0 : static_cast<std::size_t>(shape[0] * new_plane));
  parallel_for(shape[0], slice_grain(shape[0]), [&](std::int64_t begin, std::int64_t end) {
    SliceResizer resizer(y, x);
    for (std::int64_t i = begin; i < end; ++i) {
      const auto [first, last] = nearest ? readers_of(z, i) : std::pair<std::int64_t, std::int64_t>(i, i + 1);
      if (first == last) continue;
      const Range range = range_of(voxels + i * plane, plane);
      const Clip clip{range.low, range.high};
      resizer.run(voxels + i * plane, [&](std::int64_t row, std::int64_t column, const double* values, std::int64_t n) {
        const std::int64_t at = first * new_plane + row * new_shape[2] + column;
        if (nearest)
          std::transform(values, values + n, result + at, clip);
        else
          std::transform(values, values + n, planes.begin() + at,
                         [&](double value) { return std::clamp(value, clip.low, clip.high); });
      });
      for (std::int64_t copy = first + 1; nearest && copy < last; ++copy)
        std::copy_n(result + first * new_plane, new_plane, result + copy * new_plane);
    }
  });
  if (!nearest)
    resize_columns(
        planes, {new_shape[1], new_shape[2], 0, new_shape[2]}, z, [](double v) { return static_cast<float>(v); },
        result);
}

}  // namespace m3d
