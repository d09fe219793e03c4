#pragma once
// The intensity operations of nnU-Net's training augmentation (nnunet_conventions.md §7.2-9), each with its values
// given: what is drawn at random is in augmentation.h. All change one channel [D, H, W] (contiguous, float32) in place.
// Source: batchgeneratorsv2 0.3.6, transforms/{intensity,noise,spatial}. The result does not depend on the processor.
#include <cstdint>
#include <span>

#include "datasets/images/image.h"

namespace m3d {

/// Adds normal noise of that standard deviation; voxel i's follows from (key, i).
void add_gaussian_noise(std::span<float> channel, float standard_deviation, std::uint64_t key);

/// A Gaussian along each axis (sigma in voxels, [D, H, W]) of nearest_odd(truncate * sigma + 0.5) taps that sum to 1,
/// reflected at the border without repeating the edge. Axes of one voxel are left alone.
void blur(std::span<float> channel, const Shape3& shape, const std::array<double, 3>& sigma, double truncate = 6);

/// Taps of that Gaussian: the odd whole number next to truncate * sigma + 0.5.
std::int64_t blur_taps(double sigma, double truncate);

/// SciPy's gaussian_filter: the same sigma along all axes, 2 int(4 sigma + 0.5) + 1 taps, reflected with the edge
/// repeated.
void blur_by_scipy(std::span<float> channel, const Shape3& shape, double sigma);

void multiply_brightness(std::span<float> channel, float factor);

/// Stretches the values about their mean; they stay within what their smallest and largest were.
void change_contrast(std::span<float> channel, float factor);

/// Sizes that lower_resolution goes through: round(size * scale), ties to even, at least 1.
Shape3 lowered_shape(const Shape3& shape, double scale, bool keep_first_axis);
/// Samples the nearest voxels onto that coarser grid, and back by linear interpolation.
void lower_resolution(std::span<float> channel, const Shape3& shape, double scale, bool keep_first_axis);

/// The same with the cubic spline on the way back, clipped to the coarse grid's range (scikit-image's resize).
void lower_resolution_by_spline(std::span<float> channel, const Shape3& shape, double scale, bool keep_first_axis);

struct GammaOptions {
  float gamma = 1;
  bool invert = false;       // works on the negated image
  bool retain_stats = true;  // mean and (unbiased) standard deviation are restored
};
/// Raises the values, scaled to [0, 1], to the power of gamma.
void change_gamma(std::span<float> channel, const GammaOptions& options);

/// Turns the volume over along the chosen axes.
void mirror(std::span<float> channel, const Shape3& shape, const std::array<bool, 3>& axes);
void mirror(std::span<std::int16_t> labels, const Shape3& shape, const std::array<bool, 3>& axes);

}  // namespace m3d
