// The weight gradient of the depthwise 3D convolution with k = 3, 5, 7 on CUDA:
//   grad_w[i, j, l] = sum over voxels of g[z, y, x] x[z + i - r, y + j - r, x + l - r],  r = k / 2.
// Lanes are channels. A warp holds the k x k sums of one i in registers and walks along rows of voxels; a window of k x
// k values of x slides with it, so that a voxel costs one load of g and k of x for k x k multiply-adds. The k warps of
// a block (one for each i) read the same g and, a few planes apart, the same x: from the first- and second-level cache.
// Rows outside the volume are skipped by whole warps. Each part of the rows leaves sums of its own, added by sum_parts.
#include "kernels/depthwise_conv3d/depthwise_conv3d_device.cuh"

namespace m3d::depthwise_conv3d_cuda {
namespace {

/// Where a warp's row of voxels lies.
struct Row {
  std::int64_t batch, z, y;
};

/// Column x of the window, zero outside the volume: rows y - r, …, y + r of plane `plane`.
template <int k, class T>
M3D_DEVICE void load_column(const WeightGradient<T>& in, const Row& at, std::int64_t plane, std::int64_t x,
                            std::int64_t channel, float (&column)[k]) {
#pragma unroll
  for (int j = 0; j < k; ++j) {
    const std::int64_t y = at.y + j - k / 2;
    const bool inside = y >= 0 && y < in.height && x >= 0 && x < in.width;
    column[j] = inside ? load(in.x.data + offset_of(in.x, at.batch, plane, y, x) + channel) : 0.0f;
  }
}

/// Adds one row of voxels. Column l of the window stands at x + l - r; instead of moving the window, the loop over k
/// neighbouring voxels is unrolled, and the column that is no longer needed takes the next one's values.
template <int k, class T>
M3D_DEVICE void add_row(const WeightGradient<T>& in, const Row& at, std::int64_t plane, std::int64_t channel,
                        float (&sums)[k][k], float& bias) {
  float window[k][k];  // [column, row]
#pragma unroll
  for (int l = 0; l + 1 < k; ++l) load_column<k>(in, at, plane, l - k / 2, channel, window[l]);
  for (std::int64_t first = 0; first < in.width; first += k) {
#pragma unroll
    for (int step = 0; step < k; ++step) {
      const std::int64_t x = first + step;
      if (x >= in.width) break;
      const float g = value_at(in.grad_y, in.before_silu, at.batch, at.z, at.y, x, channel);
      bias += g;
      load_column<k>(in, at, plane, x + k / 2, channel, window[(step + k - 1) % k]);
#pragma unroll
      for (int l = 0; l < k; ++l)
#pragma unroll
        for (int j = 0; j < k; ++j) sums[j][l] += g * window[(step + l) % k][j];
    }
  }
}

template <class T, int k>
__global__ void __launch_bounds__(k* kWarp) weight_gradient(WeightGradient<T> in) {
  const std::int64_t groups = (in.channels + kWarp - 1) / kWarp, part = blockIdx.x / groups;
  const std::int64_t channel = blockIdx.x % groups * kWarp + threadIdx.x % kWarp;
  const int depth = threadIdx.x / kWarp;
  if (channel >= in.channels) return;
  float sums[k][k] = {}, bias = 0;
  const std::int64_t rows = in.rows();
  for (std::int64_t row = part * rows / in.parts_count; row < (part + 1) * rows / in.parts_count; ++row) {
    const Row at{row / in.height / in.depth, row / in.height % in.depth, row % in.height};
    const std::int64_t plane = at.z + depth - k / 2;
    // The middle warp's planes are all inside, so that its sum of g is the bias's gradient.
    if (plane >= 0 && plane < in.depth) add_row<k>(in, at, plane, channel, sums, bias);
  }
  float* const out = in.parts + (part * (in.taps() + 1) + depth * k * k) * in.channels + channel;
#pragma unroll
  for (int j = 0; j < k; ++j)
#pragma unroll
    for (int l = 0; l < k; ++l) out[(j * k + l) * in.channels] = sums[j][l];
  if (depth == k / 2) in.parts[(part * (in.taps() + 1) + in.taps()) * in.channels + channel] = bias;
}

template <int k, class T>
bool launch_size(const WeightGradient<T>& in, cudaStream_t stream) {
  launch(weight_gradient<T, k>, {in.parts_count * divide_up(in.channels, kWarp), k * kWarp, 0, stream}, in);
  return true;
}

}  // namespace

template <class T>
bool run_tiled_weight_gradient(const WeightGradient<T>& in, cudaStream_t stream) {
  switch (cubic_size(in.kernel)) {
    case 3:
      return launch_size<3>(in, stream);
    case 5:
      return launch_size<5>(in, stream);
    case 7:
      return launch_size<7>(in, stream);
    default:
      return false;
  }
}

template bool run_tiled_weight_gradient(const WeightGradient<float>&, cudaStream_t);
template bool run_tiled_weight_gradient(const WeightGradient<c10::BFloat16>&, cudaStream_t);
template bool run_tiled_weight_gradient(const WeightGradient<c10::Half>&, cudaStream_t);

}  // namespace m3d::depthwise_conv3d_cuda
