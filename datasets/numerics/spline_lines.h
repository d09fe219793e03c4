#pragma once
// The inner loops of resizing: lines of samples that lie side by side, sample i of line w at lines[i * stride + w].
// Internal to this room.
#include <cstdint>

#include "datasets/preprocessing/resize.h"

namespace m3d {

/// Fills the padding of `count` lines of axis.padded() samples and, where the axis has a prefilter, turns the samples
/// into B-spline coefficients (half-sample-symmetric at the ends of the padded line), in place.
void pad_and_filter(double* lines, std::int64_t stride, std::int64_t count, const AxisTaps& axis);

/// Turns `count` lines of n samples into cubic B-spline coefficients in place: lines that continue mirrored about the
/// centres of their first and last samples (SciPy's spline_filter, mode "mirror").
void filter_mirrored(double* lines, std::int64_t stride, std::int64_t count, std::int64_t n);

/// Output `index` of each of the lines.
void combine_taps(const double* lines, std::int64_t stride, std::int64_t count, const AxisTaps& axis,
                  std::int64_t index, double* result);

}  // namespace m3d
