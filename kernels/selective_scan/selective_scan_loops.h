#pragma once
// What the tensor-facing code and the inner loops of the selective scan say to each other: plain pointers and sizes.
// T is the type of the arithmetic, S that of the tokens in memory, O that of the outputs; they differ for 16-bit S.
#include <cstdint>

#include "kernels/simd/storage.h"
#include "kernels/simd/tokens.h"

namespace m3d::selective_scan_loops {

/// Tokens between two kept states. The backward recomputes the states of one chunk at a time from the kept one before
/// it: 16 keeps them in the first-level cache, and makes the kept states as large as u where d_state is 16.
inline constexpr std::int64_t kChunk = 16;

/// Channel groups that one unit of the backward takes at most. Each unit leaves its own part of the gradients of B and
/// C, so that units do not depend on the threads.
inline constexpr std::int64_t kGroupsPerUnit = 4;

template <class T, class S>
struct Inputs {
  std::int64_t batch, length, channels, states;
  bool delta_softplus;
  Tokens<const S> u, delta, B, C, z;
  const T* A;                  // [D, N]
  const T* D;                  // [D] or null
  const T* delta_bias;         // [D] or null
  const T* initial_state;      // [B, D, N] or null
  const std::int32_t* orders;  // [passes, L], or null: one pass in natural order
  std::int64_t passes;
  std::int64_t chunks() const { return (length + kChunk - 1) / kChunk; }
};

template <class T, class S, class O>
struct Forward : Inputs<T, S> {
  Tokens<O> y;
  T* last_state;   // [B, D, N] or null
  T* checkpoints;  // [B, passes, chunks, N, D], the states before each chunk, or null
};

/// Gradients of what the channels (B, C) or the batches (A, D, delta_bias) share are left as parts, one a unit or one
/// a batch, for the caller to add in order.
template <class T, class S, class O>
struct Backward : Inputs<T, S> {
  std::int64_t units;  // ranges of groups
  const T* checkpoints;
  Tokens<const S> grad_y;
  const T* grad_last_state;  // [B, D, N] or null
  Tokens<O> grad_u, grad_delta, grad_z;
  T* grad_A_parts;           // [B, D, N]
  T* grad_D_parts;           // [B, D]
  T* grad_delta_bias_parts;  // [B, D]
  T* grad_BC_parts;          // [B, units, 2, L, N]
  T* grad_initial_state;     // [B, D, N]
};

/// Neighbouring groups of channels (a group: the lanes of one vector) of one batch.
struct GroupRange {
  std::int64_t batch, first, count;
};

/// Neighbouring units of one batch.
struct UnitRange {
  std::int64_t batch, first, count;
};

/// The loops of one instruction set. Each call needs memory of its own, 64-byte aligned.
template <class T, class S, class O>
struct Loops {
  int lanes;                                                              // channels a group
  std::int64_t (*memory_size)(std::int64_t states, std::int64_t groups);  // in values of T
  void (*forward)(const Forward<T, S, O>&, GroupRange range, T* memory);
  void (*backward)(const Backward<T, S, O>&, UnitRange range, T* memory);
};

// One table for each copy of the loops.
namespace portable {
template <class T, class S, class O>
Loops<T, S, O> table();
}
namespace avx2 {
template <class T, class S, class O>
Loops<T, S, O> table();
}
namespace avx512 {
template <class T, class S, class O>
Loops<T, S, O> table();
}

}  // namespace m3d::selective_scan_loops
