#pragma once
// Resizing one slice along both of its axes. Internal to this room.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "datasets/resize.h"
#include "datasets/spline_lines.h"

namespace m3d {

/// Columns that are worked on together.
inline std::int64_t columns_together(const AxisTaps& axis) {
  constexpr std::int64_t kColumnsInCache = 32'768;  // doubles of a block of columns
  return std::clamp<std::int64_t>(kColumnsInCache / axis.padded() / 16 * 16, 16, 128);
}

/// In-plane resizing of one slice, with the buffers that it needs.
class SliceResizer {
 public:
  SliceResizer(const AxisTaps& rows, const AxisTaps& columns)
      : y_(rows),
        x_(columns),
        lines_(static_cast<std::size_t>(columns.padded() * kRowsTogether)),
        slice_(static_cast<std::size_t>(rows.padded() * columns.new_size)) {}

  /// Calls store(y, x, values, count) for runs of the resized slice.
  template <class Store>
  void run(const float* voxels, const Store& store) {
    for (std::int64_t y = 0; y < y_.size; y += kRowsTogether)
      resize_rows(voxels + y * x_.size, std::min(kRowsTogether, y_.size - y), row(y));
    const std::int64_t width = x_.new_size, step = columns_together(y_);
    std::vector<double> values(static_cast<std::size_t>(step));
    for (std::int64_t x = 0; x < width; x += step) {
      const std::int64_t count = std::min(step, width - x);
      double* block = slice_.data() + x;
      if (y_.is_identity()) {
        for (std::int64_t y = 0; y < y_.size; ++y) store(y, x, row(y) + x, count);
        continue;
      }
      pad_and_filter(block, width, count, y_);
      for (std::int64_t y = 0; y < y_.new_size; ++y) {
        combine_taps(block, width, count, y_, y, values.data());
        store(y, x, values.data(), count);
      }
    }
  }

 private:
  static constexpr std::int64_t kRowsTogether = 16;  // rows whose samples lie side by side while they are resized

  double* row(std::int64_t y) { return slice_.data() + (y_.front + y) * x_.new_size; }

  /// `count` rows of samples → as many rows of the resized line axis.
  void resize_rows(const float* voxels, std::int64_t count, double* result) {
    if (x_.is_identity()) {
      std::copy(voxels, voxels + count * x_.size, result);
      return;
    }
    double* lines = lines_.data() + x_.front * kRowsTogether;
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t x = 0; x < x_.size; ++x) lines[x * kRowsTogether + i] = voxels[i * x_.size + x];
    pad_and_filter(lines_.data(), kRowsTogether, kRowsTogether, x_);
    double values[kRowsTogether];
    for (std::int64_t x = 0; x < x_.new_size; ++x) {
      combine_taps(lines_.data(), kRowsTogether, kRowsTogether, x_, x, values);
      for (std::int64_t i = 0; i < count; ++i) result[i * x_.new_size + x] = values[i];
    }
  }

  const AxisTaps& y_;
  const AxisTaps& x_;
  std::vector<double> lines_;  // [padded x, rows together]
  std::vector<double> slice_;  // [padded y, new x]
};

}  // namespace m3d
