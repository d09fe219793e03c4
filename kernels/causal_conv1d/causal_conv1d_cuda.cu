// The causal convolution on CUDA. A thread takes a few neighbouring channels, read and written in one instruction, and
// a run of tokens, over which a window of x slides in its registers: x is read once, but for the few tokens before a
// run (a fifth of a run, from the caches). The copy of x and y is the limit: 16 bytes and about 8 multiply-adds a
// vector and token. Threads of a block are laid out with the channels first, so that neighbours read neighbours.
//
// Backward: SiLU's argument is recomputed; a run looks at the width - 1 tokens behind it, too. The gradients of weight
// and bias are added over the runs of a block in shared memory, over blocks by sum_parts: one order, no atomics.
#include "kernels/causal_conv1d/causal_conv1d_cuda.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace m3d::causal_conv1d_cuda {
namespace {

using namespace m3d::cuda;

constexpr int kThreads = 256;
constexpr int kRun = 16;   // tokens of a thread
constexpr int kAhead = 4;  // tokens asked for before the first of them is used

/// Channels of a thread where the addresses allow it.
constexpr int kVector = 4;

/// How threads are dealt out: `columns` vectors of channels by `rows` runs a block.
struct Layout {
  int columns, rows;
  std::int64_t column_blocks, row_blocks;  // over the channels; over the runs of one batch
};

template <class T>
Layout layout_of(const Inputs<T>& in, int vector) {
  const std::int64_t vectors = divide_up(in.channels, vector);
  Layout layout{};
  layout.column_blocks = divide_up(vectors, 64);
  layout.columns = static_cast<int>(divide_up(vectors, layout.column_blocks));
  layout.rows = kThreads / layout.columns;
  layout.row_blocks = divide_up(divide_up(in.length, kRun), layout.rows);
  return layout;
}

template <class T>
bool rows_are_aligned(const Tokens<T>& tokens, int vector) {
  return reinterpret_cast<std::uintptr_t>(tokens.data) % (vector * sizeof(T)) == 0 &&
         tokens.batch_stride % vector == 0 && tokens.token_stride % vector == 0;
}

struct Place {
  std::int64_t batch, row_block, channel, begin;  // begin: the first token of the run
  int column, row;
  bool active;
};

template <int vector, class T>
M3D_DEVICE Place place_of(const Inputs<T>& in, const Layout& layout) {
  Place at;
  const std::int64_t column_block = blockIdx.x % layout.column_blocks, rest = blockIdx.x / layout.column_blocks;
  at.row_block = rest % layout.row_blocks;
  at.batch = rest / layout.row_blocks;
  at.column = threadIdx.x % layout.columns;
  at.row = threadIdx.x / layout.columns;
  at.channel = (column_block * layout.columns + at.column) * vector;
  at.begin = (at.row_block * layout.rows + at.row) * kRun;
  at.active = at.row < layout.rows && at.channel < in.channels && at.begin < in.length;
  return at;
}

/// The channels of a token; zeros outside the sequence.
template <int vector, class T>
M3D_DEVICE void load_token(const Tokens<const T>& tokens, const Place& at, std::int64_t token, std::int64_t length,
                           Sums<T> (&values)[vector]) {
  Packed<T, vector> piece;
  const bool inside = token >= 0 && token < length;
  if (inside) piece = *reinterpret_cast<const Packed<T, vector>*>(tokens.at(at.batch, token) + at.channel);
#pragma unroll
  for (int v = 0; v < vector; ++v) values[v] = inside ? load(&piece.values[v]) : Sums<T>(0);
}

template <int vector, class T>
M3D_DEVICE void store_token(const Tokens<T>& tokens, const Place& at, std::int64_t token,
                            const Sums<T> (&values)[vector]) {
  Packed<T, vector> piece;
#pragma unroll
  for (int v = 0; v < vector; ++v) piece.values[v] = static_cast<T>(values[v]);
  *reinterpret_cast<Packed<T, vector>*>(tokens.at(at.batch, token) + at.channel) = piece;
}

/// The weights of a thread's channels. Of a kernel shorter than `taps` the first ones are absent: never multiplied, so
/// that an infinite x before the window does not turn into NaN.
template <class Value, int taps, int vector>
struct Weights {
  Value values[taps][vector], bias[vector];
  int absent;

  template <class T>
  M3D_DEVICE Weights(const Inputs<T>& in, std::int64_t channel) : absent(taps - in.width) {
#pragma unroll
    for (int v = 0; v < vector; ++v) {
      bias[v] = in.bias ? in.bias[channel + v] : Value(0);
#pragma unroll
      for (int k = 0; k < taps; ++k)
        values[k][v] = has(k) ? in.weight[(k - absent) * in.channels + channel + v] : Value(0);
    }
  }
  /// Kernels of up to four taps are compiled for their own width.
  M3D_DEVICE bool has(int k) const { return taps <= 4 || k >= absent; }

  /// The convolution at the last token of a window of x.
  M3D_DEVICE void apply(const Value (&window)[taps][vector], Value (&sums)[vector]) const {
#pragma unroll
    for (int v = 0; v < vector; ++v) sums[v] = bias[v];
#pragma unroll
    for (int k = 0; k < taps; ++k)
      if (has(k)) {
#pragma unroll
        for (int v = 0; v < vector; ++v) sums[v] += values[k][v] * window[k][v];
      }
  }
};

/// Moves a window on by one token.
template <int taps, int vector, class Value>
M3D_DEVICE void slide(Value (&window)[taps][vector], const Value (&next)[vector]) {
#pragma unroll
  for (int v = 0; v < vector; ++v) {
#pragma unroll
    for (int k = 0; k + 1 < taps; ++k) window[k][v] = window[k + 1][v];
    window[taps - 1][v] = next[v];
  }
}

/// The tokens before `begin` in the window that is about to take token `begin`.
template <int taps, int vector, class T>
M3D_DEVICE void fill_window(const Inputs<T>& in, const Place& at, Sums<T> (&window)[taps][vector]) {
#pragma unroll
  for (int k = 1; k < taps; ++k) load_token<vector, T>(in.x, at, at.begin - taps + k, in.length, window[k]);
}

template <class T>
struct ForwardCall : Forward<T> {
  Layout layout;
};

template <class T, int taps, int vector>
__global__ void __launch_bounds__(kThreads) forward(ForwardCall<T> in) {
  using Value = Sums<T>;
  const Place at = place_of<vector>(in, in.layout);
  if (!at.active) return;
  const Weights<Value, taps, vector> weights(in, at.channel);
  Value window[taps][vector], next[kAhead][vector], sums[vector];
  fill_window(in, at, window);
  for (int first = 0; first < kRun; first += kAhead) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) load_token<vector, T>(in.x, at, at.begin + first + i, in.length, next[i]);
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const std::int64_t token = at.begin + first + i;
      slide(window, next[i]);
      weights.apply(window, sums);
      if (in.silu) {
#pragma unroll
        for (int v = 0; v < vector; ++v) sums[v] = silu(sums[v]);
      }
      if (token < in.length) store_token<vector, T>(in.y, at, token, sums);
    }
  }
}

template <class T>
struct BackwardCall : Backward<T> {
  Layout layout;
};

/// Adds the threads' gradients of weight and bias over the runs of the block and writes its part.
template <int taps, int vector, class T>
M3D_DEVICE void store_part(const BackwardCall<T>& in, const Place& at, const Sums<T> (&gradients)[taps + 1][vector]) {
  using Value = Sums<T>;
  Value* const shared = shared_memory<Value>();
  constexpr int each = (taps + 1) * vector;
#pragma unroll
  for (int k = 0; k <= taps; ++k)
#pragma unroll
    for (int v = 0; v < vector; ++v) shared[(k * vector + v) * kThreads + threadIdx.x] = gradients[k][v];
  __syncthreads();
  const std::int64_t part = at.batch * in.layout.row_blocks + at.row_block;
  const std::int64_t first_channel = at.channel - at.column * vector;
  for (int i = threadIdx.x; i < each * in.layout.columns; i += kThreads) {
    const int v = i % vector, column = i / vector % in.layout.columns, k = i / (vector * in.layout.columns);
    const std::int64_t channel = first_channel + column * vector + v;
    const int tap = k == taps ? in.width : k - (taps - in.width);
    if (tap < 0 || channel >= in.channels) continue;
    Value total = 0;
    for (int row = 0; row < in.layout.rows; ++row)
      total += shared[(k * vector + v) * kThreads + row * in.layout.columns + column];
    in.parts[(part * (in.width + 1) + tap) * in.channels + channel] = total;
  }
}

template <class T, int taps, int vector>
__global__ void __launch_bounds__(kThreads) backward(BackwardCall<T> in) {
  using Value = Sums<T>;
  const Place at = place_of<vector>(in, in.layout);
  Value gradients[taps + 1][vector] = {};
  if (at.active) {
    const Weights<Value, taps, vector> weights(in, at.channel);
    Value window[taps][vector], g[taps][vector] = {}, next[vector], sums[vector];
    fill_window(in, at, window);
    const std::int64_t end = at.begin + kRun < in.length ? at.begin + kRun : in.length;
#pragma unroll 4
    for (std::int64_t token = at.begin; token < end + taps - 1; ++token) {
      load_token<vector, T>(in.x, at, token, in.length, next);
      slide(window, next);
      load_token<vector, T>(in.grad_y, at, token, in.length, next);
      if (in.silu) {
        weights.apply(window, sums);
#pragma unroll
        for (int v = 0; v < vector; ++v) next[v] *= silu_derivative(sums[v]);
      }
      slide(g, next);
      if (token < end) {
#pragma unroll
        for (int v = 0; v < vector; ++v) {
#pragma unroll
          for (int k = 0; k < taps; ++k) gradients[k][v] += next[v] * window[k][v];
          gradients[taps][v] += next[v];
        }
      }
      if (token - (taps - 1) < at.begin) continue;
#pragma unroll
      for (int v = 0; v < vector; ++v) {
        sums[v] = 0;
#pragma unroll
        for (int k = 0; k < taps; ++k)
          if (weights.has(k)) sums[v] += weights.values[k][v] * g[taps - 1 - k][v];
      }
      store_token<vector, T>(in.grad_x, at, token - (taps - 1), sums);
    }
  }
  store_part<taps, vector>(in, at, gradients);
}

/// Calls run(taps, vector): the usual widths where all rows allow vectors, else a form that takes everything.
template <class T, class Run>
void with_shape(const Inputs<T>& in, bool aligned, const Run& run) {
  if constexpr (!std::is_same_v<T, double>) {
    constexpr std::integral_constant<int, kVector> vector;
    if (aligned && in.channels % kVector == 0) {
      if (in.width == 2) return run(std::integral_constant<int, 2>{}, vector);
      if (in.width == 3) return run(std::integral_constant<int, 3>{}, vector);
      if (in.width == 4) return run(std::integral_constant<int, 4>{}, vector);
    }
  }
  run(std::integral_constant<int, kMaxWidth>{}, std::integral_constant<int, 1>{});
}

template <class T>
bool backward_is_aligned(const Backward<T>& in) {
  return rows_are_aligned(in.x, kVector) && rows_are_aligned(in.grad_y, kVector) &&
         rows_are_aligned(in.grad_x, kVector);
}

std::int64_t blocks_of(std::int64_t batch, const Layout& layout) {
  return batch * layout.row_blocks * layout.column_blocks;
}

}  // namespace

template <class T>
std::int64_t parts_count(const Backward<T>& in) {
  std::int64_t count = 0;
  with_shape(in, backward_is_aligned(in),
             [&](auto, auto vector) { count = in.batch * layout_of(in, vector).row_blocks; });
  return count;
}

template <class T>
void run_forward(const Forward<T>& conv, cudaStream_t stream) {
  const bool aligned = rows_are_aligned(conv.x, kVector) && rows_are_aligned(conv.y, kVector);
  with_shape(conv, aligned, [&](auto taps, auto vector) {
    const Layout layout = layout_of(conv, vector);
    launch(forward<T, decltype(taps)::value, decltype(vector)::value>,
           {blocks_of(conv.batch, layout), kThreads, 0, stream}, ForwardCall<T>{conv, layout});
  });
}

template <class T>
void run_backward(const Backward<T>& conv, cudaStream_t stream) {
  with_shape(conv, backward_is_aligned(conv), [&](auto taps, auto vector) {
    const Layout layout = layout_of(conv, vector);
    const std::size_t shared = (taps + 1) * vector * kThreads * sizeof(Sums<T>);
    launch(backward<T, decltype(taps)::value, decltype(vector)::value>,
           {blocks_of(conv.batch, layout), kThreads, shared, stream}, BackwardCall<T>{conv, layout});
  });
}

#define M3D_INSTANTIATE(T)                                    \
  template std::int64_t parts_count(const Backward<T>&);      \
  template void run_forward(const Forward<T>&, cudaStream_t); \
  template void run_backward(const Backward<T>&, cudaStream_t);
M3D_FOR_EACH_STORAGE(M3D_INSTANTIATE)

}  // namespace m3d::causal_conv1d_cuda
