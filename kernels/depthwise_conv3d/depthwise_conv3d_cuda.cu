// Depthwise correlation and weight gradient on CUDA for every odd kernel, mixed sizes and float64 too: a thread an
// output, or a warp a tap. And the choice between these and the tiled kernels.
#include "kernels/depthwise_conv3d/depthwise_conv3d_device.cuh"

namespace m3d::depthwise_conv3d_cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
M3D_DEVICE Sums<T> correlate(const Geometry& in, const Source<T>& source, std::int64_t batch, std::int64_t z,
                             std::int64_t y, std::int64_t x, std::int64_t channel) {
  const int kd = source.kernel[0], kh = source.kernel[1], kw = source.kernel[2];
  Sums<T> sum = 0;
  for (int i = 0; i < kd; ++i)
    for (int j = 0; j < kh; ++j)
      for (int k = 0; k < kw; ++k) {
        const std::int64_t from_z = z + i - kd / 2, from_y = y + j - kh / 2, from_x = x + k - kw / 2;
        if (from_z < 0 || from_z >= in.depth || from_y < 0 || from_y >= in.height || from_x < 0 || from_x >= in.width)
          continue;
        sum += source.weight[((i * kh + j) * kw + k) * in.channels + channel] *
               value_at(source.values, source.before_silu, batch, from_z, from_y, from_x, channel);
      }
  return sum;
}

/// One scale, or the sum of several.
template <class T>
__global__ void __launch_bounds__(kThreads) correlate_any(Correlation<T> in) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t channel = i % in.channels, voxel = i / in.channels;
  const std::int64_t x = voxel % in.width, y = voxel / in.width % in.height;
  const std::int64_t z = voxel / (in.width * in.height) % in.depth, batch = voxel / (in.width * in.height * in.depth);
  if (batch >= in.batch) return;
  Sums<T> sum = 0;
  for (int s = 0; s < in.scales; ++s) sum += correlate(in, in.sources[s], batch, z, y, x, channel);
  store_output(in, in.targets[0], in.silu, batch, z, y, x, channel, sum);
}

/// A warp: one tap (or the bias, after the last tap) of 32 channels over the rows of one part.
template <class T>
__global__ void __launch_bounds__(kThreads) weight_gradient_any(WeightGradient<T> in) {
  const std::int64_t taps = in.taps(), groups = (in.channels + kWarp - 1) / kWarp;
  const std::int64_t warp = static_cast<std::int64_t>(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
  const std::int64_t channel = warp % groups * kWarp + threadIdx.x % kWarp;
  const int tap = static_cast<int>(warp / groups % (taps + 1));
  const std::int64_t part = warp / groups / (taps + 1);
  if (part >= in.parts_count || channel >= in.channels) return;
  const bool bias = tap == taps;
  const std::int64_t kh = in.kernel[1], kw = in.kernel[2];
  const std::int64_t dz = bias ? 0 : tap / (kh * kw) - in.kernel[0] / 2, dy = bias ? 0 : tap / kw % kh - kh / 2,
                     dx = bias ? 0 : tap % kw - kw / 2;
  Sums<T> sum = 0;
  const std::int64_t rows = in.rows();
  for (std::int64_t row = part * rows / in.parts_count; row < (part + 1) * rows / in.parts_count; ++row) {
    const std::int64_t y = row % in.height, z = row / in.height % in.depth, batch = row / in.height / in.depth;
    if (z + dz < 0 || z + dz >= in.depth || y + dy < 0 || y + dy >= in.height) continue;
    for (std::int64_t x = 0; x < in.width; ++x) {
      if (x + dx < 0 || x + dx >= in.width) continue;
      const Sums<T> g = value_at(in.grad_y, in.before_silu, batch, z, y, x, channel);
      sum += bias ? g : g * value_at(in.x, {}, batch, z + dz, y + dy, x + dx, channel);
    }
  }
  in.parts[(part * (taps + 1) + tap) * in.channels + channel] = sum;
}

}  // namespace

std::int64_t weight_parts_count(const Geometry& geometry) {
  constexpr std::int64_t rows_of_a_part = 16, most_parts = 128;
  return std::min(most_parts, divide_up(geometry.rows(), rows_of_a_part));
}

template <class T>
void run_correlation(const Correlation<T>& in, cudaStream_t stream) {
  if constexpr (!std::is_same_v<T, double>)
    if (run_tiled_correlation(in, stream)) return;
  if (in.scales > 1 && !in.sum) {
    for (int s = 0; s < in.scales; ++s) {
      Correlation<T> one = in;
      one.scales = 1;
      one.sources[0] = in.sources[s];
      one.targets[0] = in.targets[s];
      run_correlation(one, stream);
    }
    return;
  }
  launch(correlate_any<T>, {divide_up(in.rows() * in.width * in.channels, kThreads), kThreads, 0, stream}, in);
}

template <class T>
void run_weight_gradient(const WeightGradient<T>& in, cudaStream_t stream) {
  if constexpr (!std::is_same_v<T, double>)
    if (run_tiled_weight_gradient(in, stream)) return;
  const std::int64_t warps = in.parts_count * (in.taps() + 1) * divide_up(in.channels, kWarp);
  launch(weight_gradient_any<T>, {divide_up(warps, kThreads / kWarp), kThreads, 0, stream}, in);
}

#define M3D_INSTANTIATE(T)                                            \
  template void run_correlation(const Correlation<T>&, cudaStream_t); \
  template void run_weight_gradient(const WeightGradient<T>&, cudaStream_t);
M3D_FOR_EACH_STORAGE(M3D_INSTANTIATE)

}  // namespace m3d::depthwise_conv3d_cuda
