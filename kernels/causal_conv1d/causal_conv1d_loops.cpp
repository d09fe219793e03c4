// The inner loops of the causal convolution. A vector holds neighbouring channels and walks along the tokens of a small
// tile, so that every x is loaded once; tile by tile all channels, so that memory is read in order.
//
// Backward: p[t] = dL/d(convolution[t]) (through SiLU, whose argument is recomputed);
//     dx[t] = sum_k weight[k] p[t + width - 1 - k]      dweight[k] = sum_t p[t] x[t - width + 1 + k]
#include "kernels/causal_conv1d/causal_conv1d_loops.h"

#include "kernels/simd/convert.h"

namespace m3d::causal_conv1d_loops::M3D_ISA {
namespace {

using namespace m3d::M3D_ISA;

inline constexpr std::int64_t kTile = 32;

/// Some tokens of the channels of one vector.
struct Tile {
  std::int64_t batch, first_token;
  int steps;
  std::int64_t first_channel;
  int count;
};

template <class T, int width>
struct Kernel {
  Vector<T> weight[width];
  Vector<T> bias;
  template <class S>
  Kernel(const Inputs<T, S>& in, const Tile& tile) {
    for (int k = 0; k < width; ++k)
      weight[k] = load_lanes(in.weight + k * in.channels + tile.first_channel, tile.count);
    bias = in.bias ? load_lanes(in.bias + tile.first_channel, tile.count) : Vector<T>{};
  }
  M3D_INLINE Vector<T> operator()(const Vector<T>* x) const {
    Vector<T> y = bias;
#pragma GCC unroll 8
    for (int k = 0; k < width; ++k) y += weight[k] * x[k];
    return y;
  }
};

/// Zeros before the first token.
template <class T, class S>
M3D_INLINE Vector<T> load_token(const Tokens<const S>& tokens, const Tile& tile, std::int64_t token) {
  return token < 0 ? Vector<T>{} : load_as<T>(tokens.at(tile.batch, token) + tile.first_channel, tile.count);
}

/// Asks for a tile's rows while the tile of the same channels before it is computed: it would else wait for every line.
/// Rows after the last token are harmless.
template <bool write, class S>
M3D_INLINE void prefetch_ahead(const Tokens<S>& tokens, const Tile& tile, int step) {
  prefetch<write>(tokens.at(tile.batch, tile.first_token + kTile + step) + tile.first_channel);
}

template <class T, class S, int width>
void forward_tile(const Forward<T, S>& conv, const Tile& tile) {
  const Kernel<T, width> kernel(conv, tile);
  Vector<T> window[width];
#pragma GCC unroll 8
  for (int k = 0; k < width - 1; ++k) window[k + 1] = load_token<T>(conv.x, tile, tile.first_token - width + 1 + k);
  for (int t = 0; t < tile.steps; ++t) {
#pragma GCC unroll 8
    for (int k = 0; k < width - 1; ++k) window[k] = window[k + 1];
    prefetch_ahead<false>(conv.x, tile, t);
    prefetch_ahead<true>(conv.y, tile, t);
    window[width - 1] = load_token<T>(conv.x, tile, tile.first_token + t);
    const Vector<T> y = kernel(window);
    store_as<T>(conv.y.at(tile.batch, tile.first_token + t) + tile.first_channel, conv.silu ? silu<T>(y) : y,
                tile.count);
  }
}

template <class T>
M3D_INLINE void accumulate(T* row, Vector<T> value, const Tile& tile, bool first) {
  row += tile.first_channel;
  store_lanes(row, first ? value : value + load_lanes<T>(row, tile.count), tile.count);
}

template <class T, class S, int width>
void backward_tile(const Backward<T, S>& conv, const Tile& tile, T* grad_part, bool first) {
  const Kernel<T, width> kernel(conv, tile);
  Vector<T> x[kTile + 2 * (width - 1)], p[kTile + width - 1];
  const std::int64_t left = conv.length - tile.first_token, wanted = tile.steps + width - 1;
  const int known = static_cast<int>(wanted < left ? wanted : left);
  for (int i = 0; i < known + width - 1; ++i) x[i] = load_token<T>(conv.x, tile, tile.first_token - width + 1 + i);
  for (int i = 0; i < wanted; ++i) {
    p[i] = i < known ? load_token<T>(conv.grad_y, tile, tile.first_token + i) : Vector<T>{};
    if (conv.silu && i < known) p[i] *= silu_derivative<T>(kernel(x + i));
  }
  Vector<T> grad_weight[width]{}, grad_bias{};
  for (int t = 0; t < tile.steps; ++t) {
    prefetch_ahead<false>(conv.x, tile, t);
    prefetch_ahead<false>(conv.grad_y, tile, t);
    prefetch_ahead<true>(conv.grad_x, tile, t);
    Vector<T> grad_x{};
#pragma GCC unroll 8
    for (int k = 0; k < width; ++k) {
      grad_x += kernel.weight[k] * p[t + width - 1 - k];
      grad_weight[k] += p[t] * x[t + k];
    }
    grad_bias += p[t];
    store_as<T>(conv.grad_x.at(tile.batch, tile.first_token + t) + tile.first_channel, grad_x, tile.count);
  }
  for (int k = 0; k < width; ++k) accumulate(grad_part + k * conv.channels, grad_weight[k], tile, first);
  accumulate(grad_part + width * conv.channels, grad_bias, tile, first);
}

/// visit(tile, first) for the tiles of a block; `first`: the block's first tile of these channels.
template <class T, class S, class Visit>
M3D_INLINE void for_each_tile(const Inputs<T, S>& in, std::int64_t batch, std::int64_t block, const Visit& visit) {
  const std::int64_t begin = block * kBlock, end = begin + kBlock < in.length ? begin + kBlock : in.length;
  for (std::int64_t token = begin; token < end; token += kTile) {
    const int steps = static_cast<int>(end - token < kTile ? end - token : kTile);
    for (std::int64_t channel = 0; channel < in.channels; channel += kLanes<T>) {
      const std::int64_t left = in.channels - channel;
      visit(Tile{batch, token, steps, channel, static_cast<int>(left < kLanes<T> ? left : kLanes<T>)}, token == begin);
    }
  }
}

/// run.template operator()<width>() for the width known at run time.
template <int width = 1, class Run>
M3D_INLINE void with_width(int wanted, const Run& run) {
  if (wanted == width) return run.template operator()<width>();
  if constexpr (width < kMaxWidth) with_width<width + 1>(wanted, run);
}

template <class T, class S>
void forward(const Forward<T, S>& conv, std::int64_t batch, std::int64_t block) {
  with_width(conv.width, [&]<int width>() {
    for_each_tile(conv, batch, block, [&](const Tile& tile, bool) { forward_tile<T, S, width>(conv, tile); });
  });
}

template <class T, class S>
void backward(const Backward<T, S>& conv, std::int64_t batch, std::int64_t block) {
  T* grad_part = conv.grad_parts + (batch * conv.blocks() + block) * (conv.width + 1) * conv.channels;
  with_width(conv.width, [&]<int width>() {
    for_each_tile(conv, batch, block,
                  [&](const Tile& tile, bool first) { backward_tile<T, S, width>(conv, tile, grad_part, first); });
  });
}

}  // namespace

template <class T, class S>
Loops<T, S> table() {
  return {forward<T, S>, backward<T, S>};
}
template Loops<float, float> table<float, float>();
template Loops<float, Bfloat16> table<float, Bfloat16>();
template Loops<float, Float16> table<float, Float16>();
template Loops<double, double> table<double, double>();

}  // namespace m3d::causal_conv1d_loops::M3D_ISA
