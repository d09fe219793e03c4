#pragma once
// The selective scan forward. A vector holds neighbouring channels, so that the sum over states needs no sum across
// lanes; a block of states stays in registers while the tokens of a chunk go by. The decay exp(dt A) is 2^(dt A').
#include "kernels/selective_scan/selective_scan_chunk.h"

namespace m3d::selective_scan_loops::M3D_ISA {

inline constexpr int kForwardBlock = 16;

/// What the state loops read of one group in one chunk, and the sum over states so far.
template <class T>
struct ForwardChunk {
  Vector<T> skip, dt[kChunk], u[kChunk], y[kChunk];
};

/// Carries `block` states through a chunk; put(t, y) takes y with their share added.
template <class T, int block, class EachStep, class Put>
void advance_block(const Rows<T>& rows, std::int64_t first_state, const ForwardChunk<T>& chunk, const Vector<T>* decay,
                   Vector<T>* state, const EachStep& each_step, const Put& put) {
  constexpr int together = block < kTogether ? block : kTogether;
  Vector<T> h[block];
#pragma GCC unroll 16
  for (int n = 0; n < block; ++n) h[n] = state[n];
  for (int t = 0; t < rows.steps; ++t) {
    each_step(t);
    const T* B = rows.B.at(t) + first_state;
    const T* C = rows.C.at(t) + first_state;
    const Vector<T> dt = chunk.dt[t], u = chunk.u[t], dt_u = dt * u;
    Vector<T> y = first_state == 0 ? chunk.skip * u : chunk.y[t], y_odd{};
#pragma GCC unroll 16
    for (int first = 0; first < block; first += together) {
      Vector<T> a[together];
#pragma GCC unroll 8
      for (int k = 0; k < together; ++k) a[k] = dt * decay[first + k];
      exp2_all<T, together>(a);
#pragma GCC unroll 8
      for (int k = 0; k < together; ++k) {
        const int n = first + k;
        h[n] = a[k] * h[n] + dt_u * B[n];
        (n % 2 ? y_odd : y) += h[n] * C[n];
      }
    }
    put(t, y + y_odd);
  }
#pragma GCC unroll 16
  for (int n = 0; n < block; ++n) state[n] = h[n];
}

/// The gate multiplies the sum of the passes, in the last one.
template <class T, class S, class O>
M3D_INLINE void store_output(const Forward<T, S, O>& scan, const Group& group, std::int64_t pass, std::int64_t token,
                             Vector<T> y) {
  O* to = scan.y.at(group.batch, token) + group.first;
  if (pass > 0) y += load_as<T>(to, group.count);
  if (scan.z.data && pass == scan.passes - 1)
    y *= silu<T>(load_as<T>(scan.z.at(group.batch, token) + group.first, group.count));
  store_as<T>(to, y, group.count);
}

/// One group through one chunk. decay, state: [N].
template <class T, class S, class O>
void forward_chunk(const Forward<T, S, O>& scan, const Group& group, std::int64_t pass, const Rows<T>& rows, T* kept,
                   const Vector<T>* decay, Vector<T>* state) {
  for (std::int64_t n = 0; kept && n < scan.states; ++n)
    store_lanes(kept + n * scan.channels + group.first, state[n], group.count);
  ForwardChunk<T> chunk;
  chunk.skip = load_channels(scan.D, group);
  load_chunk(scan, group, rows, load_channels(scan.delta_bias, group), [&](int t, Vector<T> dt, Vector<T> u) {
    chunk.dt[t] = dt;
    chunk.u[t] = u;
  });
  for_each_block<kForwardBlock>(scan.states, [&]<int block>(std::int64_t n) {
    // Always inline: a function that only asks for memory looks to the compiler as if it did nothing.
    const auto prefetch_step = [&](int t) __attribute__((always_inline)) {
      if (n > 0) return;
      prefetch_inputs(scan, group, rows.coming[t]);
      prefetch_row<true>(scan.y, group, rows.coming[t]);
      if (kept && t < scan.states) prefetch<true>(kept + (scan.states + t) * scan.channels + group.first);
    };
    const auto put = [&](int t, Vector<T> y) __attribute__((always_inline)) {
      if (n + block == scan.states)
        store_output(scan, group, pass, rows.token[t], y);
      else
        chunk.y[t] = y;
    };
    advance_block<T, block>(rows, n, chunk, decay + n, state + n, prefetch_step, put);
  });
}

/// The groups take turns at each chunk, so that memory is read in order and B, C stay near.
template <class T, class S, class O>
void forward(const Forward<T, S, O>& scan, GroupRange range, T* memory) {
  Rows<T> rows = rows_in(memory);
  Vector<T>* decay = reinterpret_cast<Vector<T>*>(memory + row_values<T>(scan.states));
  Vector<T>* state = decay + range.count * scan.states;
  const auto each_group = [&](const auto& run) {
    for (std::int64_t k = 0; k < range.count; ++k)
      run(group_of(scan, range.batch, range.first + k), decay + k * scan.states, state + k * scan.states);
  };
  each_group([&](const Group& group, Vector<T>* a, Vector<T>*) { load_decay(scan, group, a); });
  for (std::int64_t pass = 0; pass < scan.passes; ++pass) {
    each_group([&](const Group& group, auto, Vector<T>* h) { load_states(scan.initial_state, scan, group, h); });
    for (std::int64_t index = 0; index < scan.chunks(); ++index) {
      load_rows(scan, range.batch, pass, index, 1, rows);
      T* kept = scan.checkpoints ? scan.checkpoints + checkpoint_offset(scan, range.batch, pass, index) : nullptr;
      each_group([&](const Group& group, const Vector<T>* a, Vector<T>* h) {
        forward_chunk(scan, group, pass, rows, kept, a, h);
      });
    }
  }
  each_group([&](const Group& group, auto, const Vector<T>* h) {
    if (scan.last_state) store_states(scan.last_state, scan, group, h);
  });
}

}  // namespace m3d::selective_scan_loops::M3D_ISA
