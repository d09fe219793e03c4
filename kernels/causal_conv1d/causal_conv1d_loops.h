#pragma once
// What the tensor-facing code and the inner loops of the causal convolution say to each other.
#include <cstdint>

#include "kernels/simd/tokens.h"

namespace m3d::causal_conv1d_loops {

inline constexpr int kMaxWidth = 8;
/// Tokens of one piece of work, and so of one part of the gradients of weight and bias.
inline constexpr std::int64_t kBlock = 512;

template <class T>
struct Inputs {
  std::int64_t batch, length, channels;
  int width;
  bool silu;
  Tokens<const T> x;
  const T* weight;  // [width, C]
  const T* bias;    // [C] or null
  std::int64_t blocks() const { return (length + kBlock - 1) / kBlock; }
};

template <class T>
struct Forward : Inputs<T> {
  Tokens<T> y;
};

template <class T>
struct Backward : Inputs<T> {
  Tokens<const T> grad_y;
  Tokens<T> grad_x;
  T* grad_parts;  // [B, blocks, width + 1, C]: of the weight, then of the bias
};

/// The loops of one instruction set.
template <class T>
struct Loops {
  void (*forward)(const Forward<T>&, std::int64_t batch, std::int64_t block);
  void (*backward)(const Backward<T>&, std::int64_t batch, std::int64_t block);
};

// One table for each copy of causal_conv1d_loops.cpp.
namespace portable {
template <class T>
Loops<T> table();
}
namespace avx2 {
template <class T>
Loops<T> table();
}
namespace avx512 {
template <class T>
Loops<T> table();
}

}  // namespace m3d::causal_conv1d_loops
