#pragma once
// Resizing one slice along both of its axes. Internal to this room.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "datasets/numerics/spline_lines.h"
#include "datasets/preprocessing/resize.h"

namespace m3d {

/// Columns that are worked on together.
inline std::int64_t columns_together(const AxisTaps& axis) {
  constexpr std::int64_t kColumnsInCache = 32'768;  // doubles of a block of columns
  return std::clamp<std::int64_t>(kColumnsInCache / axis.padded() / 16 * 16, 16, 128);
}

/// In-plane resizing of one slice, or of a range of its new columns, with the buffers that it needs.
class SliceResizer {
 public:
  SliceResizer(const AxisTaps& rows, const AxisTaps& columns) : SliceResizer(rows, columns, 0, columns.new_size) {}
  SliceResizer(const AxisTaps& rows, const AxisTaps& columns, std::int64_t first_column, std::int64_t column_count)
      : y_(rows),
        x_(columns),
        first_(first_column),
        width_(column_count),
        lines_(static_cast<std::size_t>(columns.padded() * kRowsTogether)),
        slice_(static_cast<std::size_t>(rows.padded() * column_count)) {}

  /// Calls store(y, x, values, count) for runs of the resized slice; column x counts from the first of the range.
  template <class Store>
  void run(const float* voxels, const Store& store) {
    for (std::int64_t y = 0; y < y_.size; y += kRowsTogether)
      resize_rows(voxels + y * x_.size, std::min(kRowsTogether, y_.size - y), row(y));
    const std::int64_t step = columns_together(y_);
    std::vector<double> values(static_cast<std::size_t>(step));
    for (std::int64_t x = 0; x < width_; x += step) {
      const std::int64_t count = std::min(step, width_ - x);
      double* block = slice_.data() + x;
      if (y_.is_identity()) {
        for (std::int64_t y = 0; y < y_.size; ++y) store(y, x, row(y) + x, count);
        continue;
      }
      pad_and_filter(block, width_, count, y_);
      for (std::int64_t y = 0; y < y_.new_size; ++y) {
        combine_taps(block, width_, count, y_, y, values.data());
        store(y, x, values.data(), count);
      }
    }
  }

 private:
  static constexpr std::int64_t kRowsTogether = 16;  // rows whose samples lie side by side while they are resized

  double* row(std::int64_t y) { return slice_.data() + (y_.front + y) * width_; }

  /// `count` rows of samples → as many rows of the resized line axis.
  void resize_rows(const float* voxels, std::int64_t count, double* result) {
    if (x_.is_identity()) {
      for (std::int64_t i = 0; i < count; ++i) std::copy_n(voxels + i * x_.size + first_, width_, result + i * width_);
      return;
    }
    double* lines = lines_.data() + x_.front * kRowsTogether;
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t x = 0; x < x_.size; ++x) lines[x * kRowsTogether + i] = voxels[i * x_.size + x];
    pad_and_filter(lines_.data(), kRowsTogether, kRowsTogether, x_);
    double values[kRowsTogether];
    for (std::int64_t x = 0; x < width_; ++x) {
      combine_taps(lines_.data(), kRowsTogether, kRowsTogether, x_, first_ + x, values);
      for (std::int64_t i = 0; i < count; ++i) result[i * width_ + x] = values[i];
    }
  }

  const AxisTaps& y_;
  const AxisTaps& x_;
  std::int64_t first_, width_;
  std::vector<double> lines_;  // [padded x, rows together]
  std::vector<double> slice_;  // [padded y, width]
};

}  // namespace m3d
