#pragma once
// What the tensor-facing code and the inner loops of the selective scan say to each other: plain pointers and sizes.
#include <cstdint>

#include "kernels/simd/tokens.h"

namespace m3d::selective_scan_loops {

/// Tokens between two kept states. The backward recomputes the states of one chunk at a time from the kept one before
/// it: 16 keeps them in the first-level cache, and makes the kept states as large as u where d_state is 16.
inline constexpr std::int64_t kChunk = 16;

/// Channel groups that one unit of work takes at most: a batch and `units` ranges of groups divide the work. Each unit
/// leaves its own part of the gradients of B and C.
inline constexpr std::int64_t kGroupsPerUnit = 3;

template <class T>
struct Inputs {
  std::int64_t batch, length, channels, states, units;
  bool delta_softplus;
  Tokens<const T> u, delta, B, C, z;
  const T* A;           // [D, N]
  const T* D;           // [D] or null
  const T* delta_bias;  // [D] or null
  std::int64_t chunks() const { return (length + kChunk - 1) / kChunk; }
};

template <class T>
struct Forward : Inputs<T> {
  Tokens<T> y;
  T* last_state;   // [B, D, N] or null
  T* checkpoints;  // [B, chunks, N, D], the states before each chunk, or null
};

/// A unit of the backward is a batch and a range of channel groups. Gradients of what the channels (B, C) or the
/// batches (A, D, delta_bias) share are left as parts, one a unit or one a batch, for the caller to add in order.
template <class T>
struct Backward : Inputs<T> {
  const T* checkpoints;
  Tokens<const T> grad_y;
  const T* grad_last_state;  // [B, D, N] or null
  Tokens<T> grad_u, grad_delta, grad_z;
  T* grad_A_parts;           // [B, D, N]
  T* grad_D_parts;           // [B, D]
  T* grad_delta_bias_parts;  // [B, D]
  T* grad_BC_parts;          // [B, units, 2, L, N]
};

/// The loops of one instruction set.
template <class T>
struct Loops {
  int lanes;                                          // channels a group
  std::int64_t (*scratch_size)(std::int64_t states);  // values of T that a call needs, 64-byte aligned
  void (*forward)(const Forward<T>&, std::int64_t batch, std::int64_t group, T* scratch);
  void (*backward)(const Backward<T>&, std::int64_t batch, std::int64_t unit, T* scratch);
};

// One table for each copy of selective_scan_loops.cpp.
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

}  // namespace m3d::selective_scan_loops
