// Depthwise correlation with k = 3, 5, 7 on CUDA. Lanes are channels, so that all reads and writes are dense.
//
// A thread block takes 32 channels and a tile of 8 x 8 voxels in a few neighbouring planes; it walks through the input
// planes, staging each with its border (zeros outside the volume) in shared memory as float32. A thread has one channel
// and 4 x 4 outputs a plane: a plane's k x k weights sit in its registers, and a value that it loads is used by up to
// 4 x 4 outputs, so that k = 7 needs 0.19 loads a multiply-add and k = 3 1.0 (4.1 for one output a thread).
// Several scales share the staged planes: the forward of k3 + k5 + k7 reads x once, the input gradient writes once.
//
// Limits, reasoned (bfloat16, 96 channels, 32^3, H100): k = 7 is 1.08 G multiply-adds, 36 us at 29.6 T/s; loads,
// staging and loop 0.3 to 0.4 of that. k = 3 moves 12.6 MB, 3.8 us, and takes 2.9 us of multiply-adds.
#include "kernels/depthwise_conv3d/depthwise_conv3d_device.cuh"

namespace m3d::depthwise_conv3d_cuda {
namespace {

constexpr int kTile = 8;  // voxels of a tile in height and width
constexpr int kOwn = 4;   // of them a thread's, in each direction
constexpr int kWarps = (kTile / kOwn) * (kTile / kOwn);

/// Where a thread works.
struct Place {
  std::int64_t batch, z, y, x, channel;  // z, y, x: the first voxel of the block's tile
  int warp, lane, own_y, own_x;          // own: this thread's part of the tile
};

struct Grid {
  std::int64_t groups, columns, rows, slabs;  // blocks over channels, width, height, depth
};

Grid grid_of(const Geometry& in, int planes) {
  return {divide_up(in.channels, kWarp), divide_up(in.width, kTile), divide_up(in.height, kTile),
          divide_up(in.depth, planes)};
}

M3D_DEVICE Place place_of(const Grid& grid, int planes) {
  Place at;
  std::int64_t rest = blockIdx.x;
  at.warp = threadIdx.x / kWarp;
  at.lane = threadIdx.x % kWarp;
  at.channel = rest % grid.groups * kWarp + at.lane;
  rest /= grid.groups;
  at.x = rest % grid.columns * kTile;
  rest /= grid.columns;
  at.y = rest % grid.rows * kTile;
  rest /= grid.rows;
  at.z = rest % grid.slabs * planes;
  at.batch = rest / grid.slabs;
  at.own_y = at.warp / (kTile / kOwn) * kOwn;
  at.own_x = at.warp % (kTile / kOwn) * kOwn;
  return at;
}

template <class T>
struct Tiled : Correlation<T> {
  Grid grid;
};

/// Plane z of a source with a border of `radius` voxels: [side, side, lanes].
template <int radius, class T>
M3D_DEVICE void stage_plane(const Geometry& in, const Source<T>& source, const Place& at, std::int64_t z,
                            float* plane) {
  constexpr int side = kTile + 2 * radius;
#pragma unroll 4
  for (int i = at.warp; i < side * side; i += kWarps) {
    const std::int64_t y = at.y + i / side - radius, x = at.x + i % side - radius;
    const bool inside = y >= 0 && y < in.height && x >= 0 && x < in.width && at.channel < in.channels;
    plane[i * kWarp + at.lane] =
        inside ? value_at(source.values, source.before_silu, at.batch, z, y, x, at.channel) : 0.0f;
  }
}

/// Adds what a staged plane with a border of `radius` gives to this thread's outputs through one plane of weights.
template <int k, int radius>
M3D_DEVICE void add_plane(const float* plane, const Place& at, const float* weight, std::int64_t channels,
                          float (&sums)[kOwn][kOwn]) {
  constexpr int side = kTile + 2 * radius, border = radius - k / 2;
  float weights[k][k];
#pragma unroll
  for (int i = 0; i < k; ++i)
#pragma unroll
    for (int j = 0; j < k; ++j) weights[i][j] = weight[(i * k + j) * channels];
  const float* const corner = plane + ((at.own_y + border) * side + at.own_x + border) * kWarp + at.lane;
#pragma unroll
  for (int row = 0; row < kOwn + k - 1; ++row) {
    float values[kOwn + k - 1];
#pragma unroll
    for (int j = 0; j < kOwn + k - 1; ++j) values[j] = corner[(row * side + j) * kWarp];
#pragma unroll
    for (int y = 0; y < kOwn; ++y) {
      if (row < y || row >= y + k) continue;
#pragma unroll
      for (int x = 0; x < kOwn; ++x)
#pragma unroll
        for (int j = 0; j < k; ++j) sums[y][x] += weights[row - y][j] * values[x + j];
    }
  }
}

/// Adds one scale's part of input plane z to the `planes` output planes that it reaches.
template <int k, int radius, int planes, class T>
M3D_DEVICE void add_scale(const Tiled<T>& in, const Source<T>& source, const Place& at, std::int64_t z,
                          const float* plane, float (&sums)[planes][kOwn][kOwn]) {
  const std::int64_t reading = at.channel < in.channels ? at.channel : in.channels - 1;
#pragma unroll
  for (int p = 0; p < planes; ++p) {
    const std::int64_t depth = z - (at.z + p) + k / 2;
    if (depth < 0 || depth >= k || at.z + p >= in.depth) continue;
    add_plane<k, radius>(plane, at, source.weight + depth * k * k * in.channels + reading, in.channels, sums[p]);
  }
}

template <int planes, class T>
M3D_DEVICE void store_tile(const Tiled<T>& in, const Target<T>& target, const Place& at,
                           const float (&sums)[planes][kOwn][kOwn]) {
  if (at.channel >= in.channels) return;
#pragma unroll
  for (int p = 0; p < planes; ++p)
#pragma unroll
    for (int i = 0; i < kOwn; ++i)
#pragma unroll
      for (int j = 0; j < kOwn; ++j) {
        const std::int64_t z = at.z + p, y = at.y + at.own_y + i, x = at.x + at.own_x + j;
        if (z < in.depth && y < in.height && x < in.width)
          store_output(in, target, in.silu, at.batch, z, y, x, at.channel, sums[p][i][j]);
      }
}

/// First and one past the last input plane within `radius` of the block's output planes.
struct Planes {
  std::int64_t begin, end;
};
M3D_DEVICE Planes planes_of(const Geometry& in, const Place& at, int planes, int radius) {
  const std::int64_t end = at.z + planes + radius;
  return {at.z > radius ? at.z - radius : 0, end < in.depth ? end : in.depth};
}

/// The scales of sizes `k…` of one source, each to its own target; the largest first.
template <class T, int planes, int largest, int... k>
__global__ void __launch_bounds__(kWarps* kWarp) separate_scales(Tiled<T> in) {
  constexpr int scales = 1 + sizeof...(k), radius = largest / 2;
  const Place at = place_of(in.grid, planes);
  float* const plane = shared_memory<float>();
  float sums[scales][planes][kOwn][kOwn] = {};
  const Planes range = planes_of(in, at, planes, radius);
  for (std::int64_t z = range.begin; z < range.end; ++z) {
    __syncthreads();
    stage_plane<radius>(in, in.sources[0], at, z, plane);
    __syncthreads();
    add_scale<largest, radius>(in, in.sources[0], at, z, plane, sums[0]);
    int scale = 0;
    (..., (++scale, add_scale<k, radius>(in, in.sources[scale], at, z, plane, sums[scale])));
  }
#pragma unroll
  for (int s = 0; s < scales; ++s) store_tile(in, in.targets[s], at, sums[s]);
}

/// Adds all that a source gives, through its own staged planes.
template <int k, int planes, class T>
M3D_DEVICE void add_source(const Tiled<T>& in, const Source<T>& source, const Place& at, float* plane,
                           float (&sums)[planes][kOwn][kOwn]) {
  const Planes range = planes_of(in, at, planes, k / 2);
  for (std::int64_t z = range.begin; z < range.end; ++z) {
    __syncthreads();
    stage_plane<k / 2>(in, source, at, z, plane);
    __syncthreads();
    add_scale<k, k / 2>(in, source, at, z, plane, sums);
  }
}

/// The sum over sources with kernels of sizes `k…`.
template <class T, int planes, int... k>
__global__ void __launch_bounds__(kWarps* kWarp) summed_scales(Tiled<T> in) {
  const Place at = place_of(in.grid, planes);
  float* const plane = shared_memory<float>();
  float sums[planes][kOwn][kOwn] = {};
  int scale = 0;
  (..., add_source<k>(in, in.sources[scale++], at, plane, sums));
  store_tile(in, in.targets[0], at, sums);
}

template <class T>
void launch_tiles(void (*kernel)(Tiled<T>), const Correlation<T>& in, int planes, int largest, cudaStream_t stream) {
  const Grid grid = grid_of(in, planes);
  const std::size_t side = kTile + 2 * (largest / 2);
  launch(kernel,
         {in.batch * grid.slabs * grid.rows * grid.columns * grid.groups, kWarps * kWarp,
          side * side * kWarp * sizeof(float), stream},
         Tiled<T>{in, grid});
}

/// Planes of a block: several where that leaves enough blocks, as each input plane is then staged less often.
template <class T, int k>
void launch_one(const Correlation<T>& in, cudaStream_t stream) {
  constexpr int planes = k == 3 ? 4 : 2;
  constexpr std::int64_t enough_blocks = 512;
  const Grid grid = grid_of(in, planes);
  if (in.batch * grid.slabs * grid.rows * grid.columns * grid.groups >= enough_blocks)
    launch_tiles<T>(separate_scales<T, planes, k>, in, planes, k, stream);
  else
    launch_tiles<T>(separate_scales<T, 1, k>, in, 1, k, stream);
}

/// The scales in the order of their sizes, the largest first.
template <class T>
Correlation<T> sorted(const Correlation<T>& in) {
  Correlation<T> out = in;
  for (int i = 1; i < out.scales; ++i)
    for (int j = i; j > 0 && out.sources[j].kernel[0] > out.sources[j - 1].kernel[0]; --j) {
      std::swap(out.sources[j], out.sources[j - 1]);
      std::swap(out.targets[j], out.targets[j - 1]);
    }
  if (in.sum) out.targets[0] = in.targets[0];
  return out;
}

}  // namespace

template <class T>
bool run_tiled_correlation(const Correlation<T>& in, cudaStream_t stream) {
  const auto size = [&](int scale) { return cubic_size(in.sources[scale].kernel); };
  if (in.scales == 1) {
    if (size(0) == 3) return launch_one<T, 3>(in, stream), true;
    if (size(0) == 5) return launch_one<T, 5>(in, stream), true;
    if (size(0) == 7) return launch_one<T, 7>(in, stream), true;
    return false;
  }
  const Correlation<T> scales = sorted(in);
  const auto sorted_size = [&](int scale) { return cubic_size(scales.sources[scale].kernel); };
  if (in.scales != 3 || sorted_size(0) != 7 || sorted_size(1) != 5 || sorted_size(2) != 3) return false;
  if (in.sum)
    launch_tiles<T>(summed_scales<T, 2, 7, 5, 3>, scales, 2, 7, stream);
  else
    launch_tiles<T>(separate_scales<T, 1, 7, 5, 3>, scales, 1, 7, stream);
  return true;
}

template bool run_tiled_correlation(const Correlation<float>&, cudaStream_t);
template bool run_tiled_correlation(const Correlation<c10::BFloat16>&, cudaStream_t);
template bool run_tiled_correlation(const Correlation<c10::Half>&, cudaStream_t);

}  // namespace m3d::depthwise_conv3d_cuda
