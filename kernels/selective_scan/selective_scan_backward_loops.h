#pragma once
// The selective scan backward. Chunk by chunk from the last, the states and decays of a chunk are recomputed from the
// kept state before it, then g[t] = dL/dh[t] runs backwards:
//     g[t] = C[t] dy[t] + a[t+1] g[t+1]
//     dC[t] += sum_d dy h[t]      dB[t] += sum_d dt u g[t]      d(dt u) = sum_n B g      d(dt A) = a h[t-1] g
// The sums over d are taken over the groups of a unit first, lane by lane, and over the lanes once.
#include "kernels/selective_scan/selective_scan_chunk.h"

namespace m3d::selective_scan_loops::M3D_ISA {

inline constexpr int kBackwardBlock = 4;

/// A sum over many chunks with its rounding error carried along (Kahan); float alone would lose 1e-5 over long scans.
template <class T>
struct CompensatedSum {
  Vector<T> sum{}, error{};
  M3D_INLINE void add(Vector<T> value) {
    const Vector<T> corrected = value - error;
    const Vector<T> next = sum + corrected;
    error = (next - sum) - corrected;
    sum = next;
  }
};

/// What the backward keeps for one group while the chunks go by.
template <class T>
struct Carried {
  Group group;
  Vector<T>* decay;               // [N]
  Vector<T>* grad_state;          // [N]: a[t+1] g[t+1], what the later chunks send back
  CompensatedSum<T>* grad_decay;  // [N]
  CompensatedSum<T> grad_skip, grad_bias;
  Vector<T> bias, skip;
};

/// A chunk in the backward.
template <class T>
struct BackwardChunk {
  Vector<T> dt[kChunk], u[kChunk], dt_u[kChunk], y[kChunk];
  Vector<T> grad_out[kChunk];                    // of the output, before the gate; only with a gate
  Vector<T> grad_y[kChunk];                      // of y, inside the gate
  Vector<T> grad_dt_u[kChunk], grad_dt[kChunk];  // the latter in units of ln 2
};

/// The decays and states of one block in one chunk; h[t] is the state before token t.
template <class T, int block>
struct Recomputed {
  Vector<T> a[kChunk][block], h[kChunk + 1][block];
};

/// The terms of dB and dC of one block, summed over the groups so far.
template <class T, int block>
struct Shared {
  Vector<T> B_and_C[kChunk][2 * block];
};

/// A chunk of one pass, as one unit sees it.
template <class T>
struct Place {
  std::int64_t batch, pass, index;
  Rows<T> rows;
  const T* kept;    // the states before the chunk, [N, D]
  const T* coming;  // those before the chunk that comes
  T* grad_BC;       // the unit's part, [2, L, N]
};

template <class T, class S, class O>
M3D_INLINE void load_gradients(const Backward<T, S, O>& scan, const Group& group, const Rows<T>& rows,
                               BackwardChunk<T>& chunk) {
  for (int t = 0; t < rows.steps; ++t) {
    chunk.grad_y[t] = load_as<T>(scan.grad_y.at(group.batch, rows.token[t]) + group.first, group.count);
    if (!scan.z.data) continue;
    chunk.grad_out[t] = chunk.grad_y[t];
    chunk.grad_y[t] *= silu<T>(load_as<T>(scan.z.at(group.batch, rows.token[t]) + group.first, group.count));
  }
}

template <class T, int block, bool gated, class S, class O>
M3D_INLINE void recompute_block(const Backward<T, S, O>& scan, const Place<T>& place, const Group& group,
                                std::int64_t first_state, const Vector<T>* decay, BackwardChunk<T>& chunk,
                                Recomputed<T, block>& states) {
  constexpr int together = block < kTogether ? block : kTogether;
  const Rows<T>& rows = place.rows;
  Vector<T> h[block], rate[block];
#pragma GCC unroll 8
  for (int n = 0; n < block; ++n) {
    rate[n] = in_register<T>(decay[n]);
    const std::int64_t row = (first_state + n) * scan.channels + group.first;
    states.h[0][n] = h[n] = load_lanes(place.kept + row, group.count);
    prefetch<false>(place.coming + row);
  }
  for (int t = 0; t < rows.steps; ++t) {
    if (first_state == 0) {
      prefetch_inputs(scan, group, rows.coming[t]);
      prefetch_row<false>(scan.grad_y, group, rows.coming[t]);
    }
    const T* B = rows.B.at(t) + first_state;
    const T* C = rows.C.at(t) + first_state;
    const Vector<T> dt = chunk.dt[t], dt_u = chunk.dt_u[t];
    Vector<T> a[block];
#pragma GCC unroll 8
    for (int n = 0; n < block; ++n) a[n] = dt * rate[n];
#pragma GCC unroll 8
    for (int n = 0; n < block; n += together) exp2_all<T, together>(a + n);
#pragma GCC unroll 8
    for (int n = 0; n < block; ++n) {
      states.a[t][n] = a[n];
      states.h[t + 1][n] = h[n] = a[n] * h[n] + dt_u * B[n];
      if constexpr (gated) chunk.y[t] += h[n] * C[n];
    }
  }
}

/// Writes `size` lanes from `first` on to a row, or adds them to it.
template <class T, int size, int first = 0>
M3D_INLINE void put_lanes(T* row, Vector<T> value, bool add) {
  if constexpr (size >= 4) {
    typedef T Part __attribute__((vector_size(size * sizeof(T))));
    Part part = [&]<int... lane>(std::integer_sequence<int, lane...>) {
      return __builtin_shufflevector(value, value, (first + lane)...);
    }
    (std::make_integer_sequence<int, size>{});
    Part before{};
    if (add) __builtin_memcpy(&before, row, sizeof before);
    part += before;
    __builtin_memcpy(row, &part, sizeof part);
  } else {
    for (int lane = 0; lane < size; ++lane) row[lane] = (add ? row[lane] : T(0)) + value[first + lane];
  }
}

/// The sums over lanes of dB (shared[0 … block)) and dC (the rest), to the rows of one token.
template <class T, int block>
M3D_INLINE void put_shared(const Vector<T>* shared, T* grad_B, T* grad_C, bool add) {
  if constexpr (2 * block <= kLanes<T>) {
    const Vector<T> sum = sum_lanes<T, 2 * block>(shared);
    put_lanes<T, block>(grad_B, sum, add);
    put_lanes<T, block, block>(grad_C, sum, add);
  } else {
    constexpr int sums = block < kLanes<T> ? block : kLanes<T>;
#pragma GCC unroll 8
    for (int k = 0; k < block; k += sums) {
      put_lanes<T, sums>(grad_B + k, sum_lanes<T, sums>(shared + k), add);
      put_lanes<T, sums>(grad_C + k, sum_lanes<T, sums>(shared + block + k), add);
    }
  }
}

/// One block of states of one group backwards through one chunk; its terms of dB and dC are added to `shared`.
template <class T, int block, bool first_group, class S, class O>
M3D_INLINE void reverse_block(const Backward<T, S, O>& scan, const Place<T>& place, std::int64_t first_state,
                              const Carried<T>& carried, const Recomputed<T, block>& states, BackwardChunk<T>& chunk,
                              Shared<T, block>& shared) {
  const Rows<T>& rows = place.rows;
  Vector<T> back[block], grad_decay[block], after[block], decay[block];
#pragma GCC unroll 8
  for (int n = 0; n < block; ++n) {
    decay[n] = in_register<T>(carried.decay[first_state + n]);
    back[n] = carried.grad_state[first_state + n];
    grad_decay[n] = Vector<T>{};
    after[n] = states.h[rows.steps][n];
  }
  for (int t = rows.steps - 1; t >= 0; --t) {
    if (first_state == 0) {
      prefetch_row<true>(scan.grad_u, carried.group, rows.token[t]);
      prefetch_row<true>(scan.grad_delta, carried.group, rows.token[t]);
      prefetch_row<true>(scan.grad_z, carried.group, rows.token[t]);
    }
    const T* B = rows.B.at(t) + first_state;
    const T* C = rows.C.at(t) + first_state;
    const Vector<T> dt = chunk.dt[t], dt_u = chunk.dt_u[t], grad_y = chunk.grad_y[t];
    Vector<T> grad_dt_u{}, grad_dt{};
    if (first_state > 0) {
      grad_dt_u = chunk.grad_dt_u[t];
      grad_dt = chunk.grad_dt[t];
    }
    Vector<T>* terms = shared.B_and_C[t];
#pragma GCC unroll 8
    for (int n = 0; n < block; ++n) {
      const Vector<T> g = back[n] + grad_y * C[n];
      const Vector<T> before = states.h[t][n];
      terms[n] = first_group ? dt_u * g : terms[n] + dt_u * g;
      terms[block + n] = first_group ? grad_y * after[n] : terms[block + n] + grad_y * after[n];
      grad_dt_u += g * B[n];
      back[n] = g * states.a[t][n];
      const Vector<T> grad_exponent = back[n] * before;
      grad_decay[n] += grad_exponent * dt;
      grad_dt += grad_exponent * decay[n];
      after[n] = before;
    }
    chunk.grad_dt_u[t] = grad_dt_u;
    chunk.grad_dt[t] = grad_dt;
  }
#pragma GCC unroll 8
  for (int n = 0; n < block; ++n) {
    carried.grad_state[first_state + n] = back[n];
    carried.grad_decay[first_state + n].add(grad_decay[n]);
  }
}

/// One block of states of all groups through one chunk.
template <class T, int block, bool gated, class S, class O>
void backward_block(const Backward<T, S, O>& scan, const Place<T>& place, std::int64_t first_state, std::int64_t groups,
                    const Carried<T>* carried, BackwardChunk<T>* chunks) {
  Recomputed<T, block> states;
  Shared<T, block> shared;
  for (std::int64_t k = 0; k < groups; ++k) {
    recompute_block<T, block, gated>(scan, place, carried[k].group, first_state, carried[k].decay + first_state,
                                     chunks[k], states);
    if (k == 0)
      reverse_block<T, block, true>(scan, place, first_state, carried[k], states, chunks[k], shared);
    else
      reverse_block<T, block, false>(scan, place, first_state, carried[k], states, chunks[k], shared);
  }
  for (int t = 0; t < place.rows.steps; ++t) {
    T* grad_B = place.grad_BC + place.rows.token[t] * scan.states + first_state;
    put_shared<T, block>(shared.B_and_C[t], grad_B, grad_B + scan.length * scan.states, place.pass > 0);
  }
}

/// d softplus(x) / dx = sigmoid(x) = 1 - exp(-softplus(x)), for `count` values of softplus, in place.
template <class T, int count>
M3D_INLINE void softplus_derivative_all(Vector<T>* dt) {
  Vector<T> slope[count];
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) slope[k] = dt[k] * T(-kLog2OfE);
  one_minus_exp2_all<T, count>(slope);
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) dt[k] = dt[k] > T(20) ? broadcast<T>(1) : slope[k];
}

/// From the gradients with respect to dt u, dt and y to those of the inputs.
template <class T, class S, class O>
void store_gradients(const Backward<T, S, O>& scan, const Place<T>& place, const BackwardChunk<T>& chunk,
                     Carried<T>& carried) {
  const Group& group = carried.group;
  const bool add = place.pass > 0;
  Vector<T> grad_skip{}, grad_bias{};
  for (int first = 0; first < place.rows.steps; first += kTogether) {
    Vector<T> slope[kTogether];  // of delta, where dt is softplus of it
    for (int k = 0; k < kTogether; ++k) slope[k] = chunk.dt[first + k];
    if (scan.delta_softplus) softplus_derivative_all<T, kTogether>(slope);
    for (int k = 0; k < kTogether && first + k < place.rows.steps; ++k) {
      const int t = first + k;
      const std::int64_t token = place.rows.token[t];
      const Vector<T> u = chunk.u[t];
      Vector<T> grad_delta = chunk.grad_dt[t] * T(kLogOf2) + chunk.grad_dt_u[t] * u;
      if (scan.delta_softplus) grad_delta *= slope[k];
      const Vector<T> grad_u = chunk.grad_dt_u[t] * chunk.dt[t] + carried.skip * chunk.grad_y[t];
      grad_skip += chunk.grad_y[t] * u;
      grad_bias += grad_delta;
      put<T>(scan.grad_u, group, token, grad_u, add);
      put<T>(scan.grad_delta, group, token, grad_delta, add);
      if (scan.z.data) {
        const Vector<T> z = load_as<T>(scan.z.at(group.batch, token) + group.first, group.count);
        put<T>(scan.grad_z, group, token, chunk.grad_out[t] * chunk.y[t] * silu_derivative<T>(z), add);
      }
    }
  }
  carried.grad_skip.add(grad_skip);
  carried.grad_bias.add(grad_bias);
}

template <class T, class S, class O>
Carried<T> start_gradients(const Backward<T, S, O>& scan, const Group& group, Vector<T>* memory) {
  const auto sums = reinterpret_cast<CompensatedSum<T>*>(memory + 2 * scan.states);
  Carried<T> carried{group, memory, memory + scan.states, sums, {}, {}, {}, {}};
  carried.bias = load_channels(scan.delta_bias, group);
  carried.skip = load_channels(scan.D, group);
  load_decay(scan, group, carried.decay);
  for (std::int64_t n = 0; n < scan.states; ++n) carried.grad_decay[n] = {};
  return carried;
}

/// All groups of a unit through one chunk.
template <class T, class S, class O>
void backward_chunk(const Backward<T, S, O>& scan, const Place<T>& place, std::int64_t groups, Carried<T>* carried) {
  BackwardChunk<T> chunks[kGroupsPerUnit];
  for (const std::int64_t token : place.rows.coming) {
    prefetch<true>(place.grad_BC + token * scan.states);
    prefetch<true>(place.grad_BC + (scan.length + token) * scan.states);
  }
  for (std::int64_t k = 0; k < groups; ++k) {
    BackwardChunk<T>& chunk = chunks[k];
    const Vector<T> skip = carried[k].skip;
    load_chunk(scan, carried[k].group, place.rows, carried[k].bias, [&](int t, Vector<T> dt, Vector<T> u) {
      chunk.dt[t] = dt;
      chunk.u[t] = u;
      chunk.dt_u[t] = dt * u;
      chunk.y[t] = skip * u;
    });
    load_gradients(scan, carried[k].group, place.rows, chunk);
  }
  for_each_block<kBackwardBlock>(scan.states, [&]<int block>(std::int64_t n) {
    if (scan.z.data)
      backward_block<T, block, true>(scan, place, n, groups, carried, chunks);
    else
      backward_block<T, block, false>(scan, place, n, groups, carried, chunks);
  });
  for (std::int64_t k = 0; k < groups; ++k) store_gradients(scan, place, chunks[k], carried[k]);
}

template <class T, class S, class O>
void store_carried(const Backward<T, S, O>& scan, const Carried<T>& carried) {
  const Group& group = carried.group;
  store_states(scan.grad_initial_state, scan, group, carried.grad_state);
  for (std::int64_t n = 0; n < scan.states; ++n) carried.grad_state[n] = carried.grad_decay[n].sum;
  store_states(scan.grad_A_parts, scan, group, carried.grad_state);
  const std::int64_t offset = group.batch * scan.channels + group.first;
  store_lanes(scan.grad_D_parts + offset, carried.grad_skip.sum, group.count);
  store_lanes(scan.grad_delta_bias_parts + offset, carried.grad_bias.sum, group.count);
}

/// Values of T that the backward keeps for one group.
template <class T>
std::int64_t carried_values(std::int64_t states) {
  return static_cast<std::int64_t>(sizeof(Carried<T>) / sizeof(T)) + 4 * states * kLanes<T>;
}

/// Units take turns at each chunk, so that rows are read in longer pieces; within a unit, its groups at each block of
/// states, so that B, C and their gradients stay near.
template <class T, class S, class O>
void backward(const Backward<T, S, O>& scan, UnitRange range, T* memory) {
  const std::int64_t all = (scan.channels + kLanes<T> - 1) / kLanes<T>;
  const auto first_group = [&](std::int64_t unit) { return unit * all / scan.units; };
  const std::int64_t first = first_group(range.first), groups = first_group(range.first + range.count) - first;
  Place<T> place{range.batch, 0, 0, rows_in(memory), nullptr, nullptr, nullptr};
  auto* const carried = reinterpret_cast<Carried<T>*>(memory + row_values<T>(scan.states));
  auto* const vectors = reinterpret_cast<Vector<T>*>(carried + groups);
  for (std::int64_t k = 0; k < groups; ++k)
    carried[k] = start_gradients(scan, group_of(scan, range.batch, first + k), vectors + 4 * k * scan.states);
  for (place.pass = 0; place.pass < scan.passes; ++place.pass) {
    for (std::int64_t k = 0; k < groups; ++k)
      load_states(scan.grad_last_state, scan, carried[k].group, carried[k].grad_state);
    for (place.index = scan.chunks() - 1; place.index >= 0; --place.index) {
      load_rows(scan, range.batch, place.pass, place.index, -1, place.rows);
      place.kept = scan.checkpoints + checkpoint_offset(scan, range.batch, place.pass, place.index);
      place.coming = place.kept - (place.index > 0 ? scan.states * scan.channels : 0);
      for (std::int64_t unit = range.first; unit < range.first + range.count; ++unit) {
        place.grad_BC = scan.grad_BC_parts + (range.batch * scan.units + unit) * 2 * scan.length * scan.states;
        backward_chunk(scan, place, first_group(unit + 1) - first_group(unit), carried + first_group(unit) - first);
      }
    }
  }
  for (std::int64_t k = 0; k < groups; ++k) store_carried(scan, carried[k]);
}

}  // namespace m3d::selective_scan_loops::M3D_ISA
