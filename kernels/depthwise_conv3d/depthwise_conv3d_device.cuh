#pragma once
// Device code that the kernels of the depthwise 3D convolution share.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/depthwise_conv3d/depthwise_conv3d_cuda.h"

namespace m3d::depthwise_conv3d_cuda {

using namespace m3d::cuda;

template <class T>
M3D_DEVICE std::int64_t offset_of(const Volume<T>& volume, std::int64_t batch, std::int64_t z, std::int64_t y,
                                  std::int64_t x) {
  return batch * volume.batch + z * volume.depth + y * volume.height + x * volume.width;
}

/// x, or grad_y * silu'(before_silu), at a voxel inside the volume.
template <class T>
M3D_DEVICE Sums<T> value_at(const Volume<const T>& values, const Volume<const T>& before_silu, std::int64_t batch,
                            std::int64_t z, std::int64_t y, std::int64_t x, std::int64_t channel) {
  const Sums<T> value = load(values.data + offset_of(values, batch, z, y, x) + channel);
  if (!before_silu.data) return value;
  return value * silu_derivative(load(before_silu.data + offset_of(before_silu, batch, z, y, x) + channel));
}

/// Writes silu(sum + bias) of a voxel.
template <class T>
M3D_DEVICE void store_output(const Geometry& in, const Target<T>& target, bool with_silu, std::int64_t batch,
                             std::int64_t z, std::int64_t y, std::int64_t x, std::int64_t channel, Sums<T> sum) {
  const std::int64_t index =
      batch * target.batch_stride + ((z * in.height + y) * in.width + x) * in.channels + channel;
  if (target.bias) sum += target.bias[channel];
  if (target.before_silu) target.before_silu[index] = static_cast<T>(sum);
  target.out[index] = static_cast<T>(with_silu ? silu(sum) : sum);
}

/// Kernels of one odd size in all three directions, as the fast kernels want them; 0 for others.
inline int cubic_size(const std::array<int, 3>& kernel) {
  return kernel[0] == kernel[1] && kernel[1] == kernel[2] && kernel[0] >= 3 && kernel[0] <= 7 ? kernel[0] : 0;
}

/// The tiled kernels, for storage of at most 32 bits; false: not for these sizes.
template <class T>
bool run_tiled_correlation(const Correlation<T>& correlation, cudaStream_t stream);
template <class T>
bool run_tiled_weight_gradient(const WeightGradient<T>& gradient, cudaStream_t stream);

}  // namespace m3d::depthwise_conv3d_cuda
