#pragma once
// What the tensor-facing code and the inner loops of the causal convolution say to each other.
#include <cstdint>

#include "kernels/simd/tokens.h"

namespace m3d::causal_conv1d_loops {

inline constexpr int kMaxWidth = 8;
/// Tokens of one piece of work, and so of one part of the gradients of weight and bias.
inline constexpr std::int64_t kBlock = 512;

/// T: the arithmetic's type, S: the tokens' in memory.
template <class T, class S>
struct Inputs {
  std::int64_t batch, length, channels;
  int width;
  bool silu;
  Tokens<const S> x;
  const T* weight;  // [width, C]
  const T* bias;    // [C] or null
  std::int64_t blocks() const { return (length + kBlock - 1) / kBlock; }
  std::int64_t block_begin(std::int64_t block) const { return block * kBlock < length ? block * kBlock : length; }
};

template <class T, class S>
struct Forward : Inputs<T, S> {
  Tokens<S> y;
};

template <class T, class S>
struct Backward : Inputs<T, S> {
  Tokens<const S> grad_y;
  Tokens<S> grad_x;
  T* grad_parts;  // [B, blocks, width + 1, C]: of the weight, then of the bias
};

/// The loops of one instruction set. backward needs memory for [width - 1, C] values.
template <class T, class S>
struct Loops {
  void (*forward)(const Forward<T, S>&, std::int64_t batch, std::int64_t block);
  void (*backward)(const Backward<T, S>&, std::int64_t batch, std::int64_t block, T* memory);
};

// One table for each copy of causal_conv1d_loops.cpp.
namespace portable {
template <class T, class S>
Loops<T, S> table();
}
namespace avx2 {
template <class T, class S>
Loops<T, S> table();
}
namespace avx512 {
template <class T, class S>
Loops<T, S> table();
}

}  // namespace m3d::causal_conv1d_loops
