// The inner loops of the causal convolution. A vector holds neighbouring channels. A few tokens are computed together,
// so that their exponentials do not wait for each other; all channels of these tokens, then the next tokens, so that
// memory is read in order.
//
// Backward: p[t] = dL/d(convolution[t]) (through SiLU, whose argument is recomputed);
//     dx[t] = sum_k weight[k] p[t + width - 1 - k]      dweight[k] = sum_t p[t] x[t - width + 1 + k]
#include "kernels/causal_conv1d/causal_conv1d_loops.h"

#include "kernels/simd/convert.h"

namespace m3d::causal_conv1d_loops::M3D_ISA {
namespace {

using namespace m3d::M3D_ISA;

inline constexpr int kTogether = 4;  // tokens
inline constexpr int kAhead = 16;    // tokens between what memory is asked for and what is computed

/// The channels of one vector.
struct Channels {
  std::int64_t first;
  int count;
};

/// visit(channels) for every vector.
template <class T, class Visit>
M3D_INLINE void for_each_vector(std::int64_t channels, const Visit& visit) {
  for (std::int64_t first = 0; first < channels; first += kLanes<T>) {
    const std::int64_t left = channels - first;
    visit(Channels{first, static_cast<int>(left < kLanes<T> ? left : kLanes<T>)});
  }
}

template <class T, int width>
struct Kernel {
  Vector<T> weight[width];
  Vector<T> bias;
  template <class S>
  M3D_INLINE Kernel(const Inputs<T, S>& in, const Channels& channels) {
#pragma GCC unroll 8
    for (int k = 0; k < width; ++k)
      weight[k] = load_lanes(in.weight + k * in.channels + channels.first, channels.count);
    bias = in.bias ? load_lanes(in.bias + channels.first, channels.count) : Vector<T>{};
  }
  M3D_INLINE Vector<T> operator()(const Vector<T>* x) const {
    Vector<T> y = bias;
#pragma GCC unroll 8
    for (int k = 0; k < width; ++k) y += weight[k] * x[k];
    return y;
  }
};

/// Rows of `count` tokens from `first` on; null where [begin, end) has no such token.
template <class S, int count>
struct Rows {
  S* row[count];
  S* ahead;  // the row kAhead tokens after those that are new in this step, the last kTogether
  std::int64_t stride;
  M3D_INLINE Rows(const Tokens<S>& tokens, std::int64_t batch, std::int64_t first, std::int64_t begin, std::int64_t end)
      : ahead(tokens.at(batch, first + count - kTogether + kAhead)), stride(tokens.token_stride) {
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) {
      const std::int64_t token = first + i;
      row[i] = token < begin || token >= end ? nullptr : tokens.at(batch, token);
    }
  }
  /// Zeros where there is no token.
  template <class T>
  M3D_INLINE void load(const Channels& channels, Vector<T>* values) const {
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i)
      values[i] = row[i] ? load_as<T>(row[i] + channels.first, channels.count) : Vector<T>{};
  }
  /// Rows that do not exist are harmless.
  template <bool write>
  M3D_INLINE void prefetch_ahead(const Channels& channels) const {
#pragma GCC unroll 8
    for (int i = 0; i < kTogether; ++i) prefetch<write>(ahead + i * stride + channels.first);
  }
};

template <class T, class S, int width>
void forward_block(const Forward<T, S>& conv, std::int64_t batch, std::int64_t begin, std::int64_t end) {
  for (std::int64_t token = begin; token < end; token += kTogether) {
    const Rows<const S, width - 1 + kTogether> x_rows(conv.x, batch, token - width + 1, 0, conv.length);
    const Rows<S, kTogether> y_rows(conv.y, batch, token, begin, end);
    for_each_vector<T>(
        conv.channels, [&](const Channels& channels) __attribute__((always_inline)) {
          const Kernel<T, width> kernel(conv, channels);
          Vector<T> x[width - 1 + kTogether], y[kTogether];
          x_rows.template load<T>(channels, x);
          x_rows.template prefetch_ahead<false>(channels);
          y_rows.template prefetch_ahead<true>(channels);
#pragma GCC unroll 8
          for (int i = 0; i < kTogether; ++i) y[i] = kernel(x + i);
          if (conv.silu) silu_all<T, kTogether>(y);
#pragma GCC unroll 8
          for (int i = 0; i < kTogether; ++i)
            if (y_rows.row[i]) store_as<T>(y_rows.row[i] + channels.first, y[i], channels.count);
        });
  }
}

template <class T>
M3D_INLINE void accumulate(T* row, const Channels& channels, Vector<T> value) {
  store_lanes(row + channels.first, load_lanes<T>(row + channels.first, channels.count) + value, channels.count);
}

/// grad_part: [width + 1, C], of this block. pending: [width - 1, C], p of the tokens before those at hand, to which dx
/// of these tokens is still due.
template <class T, class S, int width>
void backward_block(const Backward<T, S>& conv, std::int64_t batch, std::int64_t begin, std::int64_t end, T* grad_part,
                    T* pending) {
  constexpr int before = width - 1;
  for (std::int64_t i = 0; i < (width + 1) * conv.channels; ++i) grad_part[i] = T(0);
  for (std::int64_t i = 0; i < before * conv.channels; ++i) pending[i] = T(0);
  for (std::int64_t token = begin; token < end + before; token += kTogether) {
    const Rows<const S, before + kTogether> x_rows(conv.x, batch, token - before, 0, conv.length);
    const Rows<const S, kTogether> grad_rows(conv.grad_y, batch, token, 0, conv.length);
    const Rows<S, kTogether> due_rows(conv.grad_x, batch, token - before, begin, end);
    const auto counted = static_cast<int>(end - token < kTogether ? end - token : kTogether);
    for_each_vector<T>(
        conv.channels, [&](const Channels& channels) __attribute__((always_inline)) {
          const Kernel<T, width> kernel(conv, channels);
          Vector<T> x[before + kTogether], p[before + kTogether];
          x_rows.template load<T>(channels, x);
          grad_rows.template load<T>(channels, p + before);
          x_rows.template prefetch_ahead<false>(channels);
          grad_rows.template prefetch_ahead<false>(channels);
          due_rows.template prefetch_ahead<true>(channels);
          if (conv.silu) {
            Vector<T> slope[kTogether];
#pragma GCC unroll 8
            for (int i = 0; i < kTogether; ++i) slope[i] = kernel(x + i);
            silu_derivative_all<T, kTogether>(slope);
#pragma GCC unroll 8
            for (int i = 0; i < kTogether; ++i) p[before + i] *= slope[i];
          }
#pragma GCC unroll 8
          for (int k = 0; k < before; ++k)
            p[k] = load_lanes<T>(pending + k * conv.channels + channels.first, channels.count);
#pragma GCC unroll 8
          for (int i = 0; i < kTogether; ++i) {
            Vector<T> grad_x{};
#pragma GCC unroll 8
            for (int k = 0; k < width; ++k) grad_x += kernel.weight[k] * p[i + before - k];
            if (due_rows.row[i]) store_as<T>(due_rows.row[i] + channels.first, grad_x, channels.count);
          }
#pragma GCC unroll 8
          for (int k = 0; k < before; ++k)
            store_lanes(pending + k * conv.channels + channels.first, p[kTogether + k], channels.count);
          Vector<T> grad_weight[width]{}, grad_bias{};
#pragma GCC unroll 8
          for (int i = 0; i < kTogether; ++i) {
            if (i >= counted) break;
            grad_bias += p[before + i];
#pragma GCC unroll 8
            for (int k = 0; k < width; ++k) grad_weight[k] += p[before + i] * x[i + k];
          }
#pragma GCC unroll 8
          for (int k = 0; k < width; ++k) accumulate(grad_part + k * conv.channels, channels, grad_weight[k]);
          accumulate(grad_part + width * conv.channels, channels, grad_bias);
        });
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
    forward_block<T, S, width>(conv, batch, conv.block_begin(block), conv.block_begin(block + 1));
  });
}

template <class T, class S>
void backward(const Backward<T, S>& conv, std::int64_t batch, std::int64_t block, T* memory) {
  T* grad_part = conv.grad_parts + (batch * conv.blocks() + block) * (conv.width + 1) * conv.channels;
  with_width(conv.width, [&]<int width>() {
    backward_block<T, S, width>(conv, batch, conv.block_begin(block), conv.block_begin(block + 1), grad_part, memory);
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
