#pragma once
// Resizing one volume as scikit-image's resize (mode "edge", no anti-aliasing) computes it with SciPy's splines, axis
// by axis: interpolation and B-spline prefilter of one axis commute with those of the others. Internal to this room.
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "datasets/images/image.h"

namespace m3d {

/// Where SciPy's zoom (grid mode) reads for output index i: (i + 0.5) * n_in / n_out - 0.5, rounded as it rounds.
double source_coordinate(std::int64_t index, std::int64_t size, std::int64_t new_size);

/// SciPy's B-spline weights of a sample `fraction` beyond a voxel: of 1 (taken whole), 2 (linear) or 4 (cubic) taps.
/// The last follows from the others, so that they add up to 1.
void spline_weights(double fraction, std::int64_t taps, double* weights);

/// Output j of a line of `size` samples is the weighted sum of `taps` neighbours of the line, which is padded with its
/// edge values and, for the cubic spline, prefiltered.
struct AxisTaps {
  AxisTaps(std::int64_t size, std::int64_t new_size, int order);

  std::int64_t size, new_size;
  std::int64_t front = 0, back = 0;  // padding
  std::int64_t taps = 1;
  bool prefilter = false;
  std::vector<std::int64_t> start;  // by output: first tap, in the padded line
  std::vector<double> weights;      // [new_size, taps]
  bool is_identity() const { return size == new_size; }
  std::int64_t padded() const { return front + size + back; }
};

/// Limits of what a resized voxel may be.
struct Range {
  float low, high;
};
Range range_of(const float* voxels, std::int64_t count);

/// Resizes [D, H, W] by `order` along all axes, clipped to the volume's range. In between it holds some `at_once`
/// values of double (512 MiB); fewer cost time and change no bit.
void resize_volume(const float* voxels, const Shape3& shape, const Shape3& new_shape, int order, float* result,
                   std::int64_t at_once = 64 << 20);

/// Resizes each [H, W] slice by `order`, clipped to the slice's range, then along D by `order_z`.
void resize_slices(const float* voxels, const Shape3& shape, const Shape3& new_shape, int order, int order_z,
                   float* result);

}  // namespace m3d
