// The inner loops of the selective scan. A vector holds neighbouring channels, so that the sum over states needs no
// sum across lanes; a block of states stays in registers while the tokens of a chunk go by. u, delta, z of a chunk are
// first copied into dense vectors: rows that lie a power of two apart would fall into the same cache set.
//
// The decay exp(dt A) is 2^(dt A'), A' = A log2(e), folded once.
//
// Backward, chunk by chunk from the last: the states and decays of a chunk are recomputed from the kept state before
// it, then g[t] = dL/dh[t] runs backwards:
//     g[t] = C[t] dy[t] + a[t+1] g[t+1]
//     dC[t] += sum_d dy h[t]      dB[t] += sum_d dt u g[t]      d(dt u) = sum_n B g      d(dt A) = a h[t-1] g
#include "kernels/selective_scan/selective_scan_loops.h"

#include "kernels/simd/vector.h"

namespace m3d::selective_scan_loops::M3D_ISA {
namespace {

using namespace m3d::M3D_ISA;

inline constexpr int kForwardBlock = 16;
inline constexpr int kBackwardBlock = 4;
inline constexpr int kTogether = 4;  // exponentials whose chains are interleaved

/// Calls block.template operator()<size>(first) for state blocks of the largest power-of-two sizes that fit.
template <int size, class Block>
M3D_INLINE void for_each_block(std::int64_t states, Block&& block, std::int64_t first = 0) {
  for (; first + size <= states; first += size) block.template operator()<size>(first);
  if constexpr (size > 1) {
    if (first < states) for_each_block<size / 2>(states, block, first);
  }
}

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

/// The channels of one group.
struct Group {
  std::int64_t batch, first;
  int count;
};

template <class T>
Group group_of(const Inputs<T>& in, std::int64_t batch, std::int64_t group) {
  const std::int64_t first = group * kLanes<T>, left = in.channels - first;
  return {batch, first, static_cast<int>(left < kLanes<T> ? left : kLanes<T>)};
}

struct GroupRange {
  std::int64_t first, count;
};

template <class T>
GroupRange groups_of_unit(const Inputs<T>& in, std::int64_t unit) {
  const std::int64_t groups = (in.channels + kLanes<T> - 1) / kLanes<T>;
  const std::int64_t first = unit * groups / in.units;
  return {first, (unit + 1) * groups / in.units - first};
}

template <class T>
Vector<T> load_channels(const T* values, const Group& group) {
  return values ? load_lanes(values + group.first, group.count) : Vector<T>{};
}

/// A', transposed: [N] vectors.
template <class T>
void load_decay(const Inputs<T>& in, const Group& group, Vector<T>* decay) {
  for (std::int64_t n = 0; n < in.states; ++n) {
    Vector<T> v{};
    for (int lane = 0; lane < group.count; ++lane) v[lane] = in.A[(group.first + lane) * in.states + n];
    decay[n] = v * T(kLog2OfE);
  }
}

/// Writes [N] vectors as the group's rows of a [D, N] matrix.
template <class T>
void store_states(T* matrix, const Inputs<T>& in, const Group& group, const Vector<T>* states) {
  for (std::int64_t n = 0; n < in.states; ++n)
    for (int lane = 0; lane < group.count; ++lane) matrix[(group.first + lane) * in.states + n] = states[n][lane];
}

/// One group's tokens of one chunk, as dense vectors.
template <class T>
struct Chunk {
  std::int64_t first;
  int steps;
  Vector<T> u[kChunk], raw_dt[kChunk], dt[kChunk], dt_u[kChunk], y[kChunk];
};

/// Asks for the row of a token that comes soon; one before the first or after the last token is harmless. Rows are
/// asked for one at a time between computations: all at once they would wait for each other.
template <bool write, class T>
M3D_INLINE void prefetch_row(const Tokens<T>& tokens, const Group& group, std::int64_t token) {
  if (tokens.data) prefetch<write>(tokens.at(group.batch, token) + group.first);
}

template <class T>
M3D_INLINE void load_chunk(const Inputs<T>& in, const Group& group, std::int64_t index, Vector<T> bias, Vector<T> skip,
                           Chunk<T>& chunk) {
  chunk.first = index * kChunk;
  chunk.steps = static_cast<int>(in.length - chunk.first < kChunk ? in.length - chunk.first : kChunk);
  for (int t = 0; t < chunk.steps; ++t) {
    const std::int64_t token = chunk.first + t;
    chunk.u[t] = load_lanes(in.u.at(group.batch, token) + group.first, group.count);
    chunk.raw_dt[t] = load_lanes(in.delta.at(group.batch, token) + group.first, group.count) + bias;
    chunk.y[t] = skip * chunk.u[t];
  }
  for (int t = 0; t < chunk.steps; ++t) {
    chunk.dt[t] = in.delta_softplus ? softplus<T>(chunk.raw_dt[t]) : chunk.raw_dt[t];
    chunk.dt_u[t] = chunk.dt[t] * chunk.u[t];
  }
}

/// Carries `block` states through a chunk and adds their share of y.
template <class T, int block, class EachStep>
void advance_block(const Inputs<T>& in, std::int64_t batch, std::int64_t first_state, Chunk<T>& chunk,
                   const Vector<T>* decay, Vector<T>* state, const EachStep& each_step) {
  constexpr int together = block < kTogether ? block : kTogether;
  Vector<T> h[block];
#pragma GCC unroll 16
  for (int n = 0; n < block; ++n) h[n] = state[n];
  for (int t = 0; t < chunk.steps; ++t) {
    each_step(t);
    const T* B = in.B.at(batch, chunk.first + t) + first_state;
    const T* C = in.C.at(batch, chunk.first + t) + first_state;
    const Vector<T> dt = chunk.dt[t], dt_u = chunk.dt_u[t];
    Vector<T> y = chunk.y[t], y_odd{};
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
    chunk.y[t] = y + y_odd;
  }
#pragma GCC unroll 16
  for (int n = 0; n < block; ++n) state[n] = h[n];
}

template <class T>
void store_output(const Forward<T>& scan, const Group& group, const Chunk<T>& chunk) {
  for (int t = 0; t < chunk.steps; ++t) {
    Vector<T> y = chunk.y[t];
    if (scan.z.data) {
      const Vector<T> z = load_lanes(scan.z.at(group.batch, chunk.first + t) + group.first, group.count);
      y *= silu<T>(z);
    }
    store_lanes(scan.y.at(group.batch, chunk.first + t) + group.first, y, group.count);
  }
}

/// One group through one chunk. decay, state: [N].
template <class T>
void forward_chunk(const Forward<T>& scan, const Group& group, std::int64_t index, const Vector<T>* decay,
                   Vector<T>* state) {
  T* kept = scan.checkpoints + (group.batch * scan.chunks() + index) * scan.states * scan.channels + group.first;
  for (std::int64_t n = 0; scan.checkpoints && n < scan.states; ++n)
    store_lanes(kept + n * scan.channels, state[n], group.count);
  Chunk<T> chunk;
  load_chunk(scan, group, index, load_channels(scan.delta_bias, group), load_channels(scan.D, group), chunk);
  for_each_block<kForwardBlock>(scan.states, [&]<int block>(std::int64_t n) {
    advance_block<T, block>(scan, group.batch, n, chunk, decay + n, state + n, [&](int t) {
      if (n > 0) return;
      prefetch_row<false>(scan.u, group, chunk.first + kChunk + t);
      prefetch_row<false>(scan.delta, group, chunk.first + kChunk + t);
      prefetch_row<false>(scan.z, group, chunk.first + kChunk + t);
      prefetch_row<true>(scan.y, group, chunk.first + t);
      if (scan.checkpoints && t < scan.states) prefetch<true>(kept + (scan.states + t) * scan.channels);
    });
  });
  store_output(scan, group, chunk);
}

/// The groups of the unit take turns at each chunk, so that memory is read in order and B, C stay near.
template <class T>
void forward(const Forward<T>& scan, std::int64_t batch, std::int64_t unit, T* scratch) {
  const auto [first, count] = groups_of_unit(scan, unit);
  Vector<T>* decay = reinterpret_cast<Vector<T>*>(scratch);
  Vector<T>* state = decay + count * scan.states;
  for (std::int64_t k = 0; k < count; ++k) load_decay(scan, group_of(scan, batch, first + k), decay + k * scan.states);
  for (std::int64_t n = 0; n < count * scan.states; ++n) state[n] = Vector<T>{};
  for (std::int64_t index = 0; index < scan.chunks(); ++index)
    for (std::int64_t k = 0; k < count; ++k)
      forward_chunk(scan, group_of(scan, batch, first + k), index, decay + k * scan.states, state + k * scan.states);
  if (!scan.last_state) return;
  for (std::int64_t k = 0; k < count; ++k)
    store_states(scan.last_state + batch * scan.channels * scan.states, scan, group_of(scan, batch, first + k),
                 state + k * scan.states);
}

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
struct BackwardChunk : Chunk<T> {
  Vector<T> grad_out[kChunk];                    // of the output, before the gate
  Vector<T> grad_y[kChunk];                      // of y, inside the gate
  Vector<T> grad_dt_u[kChunk], grad_dt[kChunk];  // the latter in units of ln 2
};

template <class T>
M3D_INLINE void load_gradients(const Backward<T>& scan, const Group& group, BackwardChunk<T>& chunk) {
  for (int t = 0; t < chunk.steps; ++t) {
    const std::int64_t token = chunk.first + t;
    chunk.grad_out[t] = load_lanes(scan.grad_y.at(group.batch, token) + group.first, group.count);
    chunk.grad_y[t] = chunk.grad_out[t];
    if (scan.z.data) {
      const Vector<T> z = load_lanes(scan.z.at(group.batch, token) + group.first, group.count);
      chunk.grad_y[t] *= silu<T>(z);
    }
    chunk.grad_dt_u[t] = chunk.grad_dt[t] = Vector<T>{};
  }
}

template <class T>
M3D_INLINE void prefetch_inputs(const Backward<T>& scan, const Group& group, std::int64_t token) {
  prefetch_row<false>(scan.u, group, token);
  prefetch_row<false>(scan.delta, group, token);
  prefetch_row<false>(scan.z, group, token);
  prefetch_row<false>(scan.grad_y, group, token);
}

template <class T>
M3D_INLINE void prefetch_outputs(const Backward<T>& scan, const Group& group, std::int64_t token) {
  prefetch_row<true>(scan.grad_u, group, token);
  prefetch_row<true>(scan.grad_delta, group, token);
  prefetch_row<true>(scan.grad_z, group, token);
}

/// The decays and states of one block in one chunk; h[t] is the state before token t.
template <class T, int block>
struct Recomputed {
  Vector<T> a[kChunk][block], h[kChunk + 1][block];
};

template <class T, int block, bool gated>
M3D_INLINE void recompute_block(const Backward<T>& scan, const Group& group, std::int64_t first_state,
                                BackwardChunk<T>& chunk, const Vector<T>* decay, const Vector<T>* start,
                                Recomputed<T, block>& states) {
  constexpr int together = block < kTogether ? block : kTogether;
#pragma GCC unroll 8
  for (int n = 0; n < block; ++n) states.h[0][n] = start[n];
  for (int t = 0; t < chunk.steps; ++t) {
    if (first_state == 0) prefetch_inputs(scan, group, chunk.first - kChunk + t);
    const T* B = scan.B.at(group.batch, chunk.first + t) + first_state;
    const T* C = scan.C.at(group.batch, chunk.first + t) + first_state;
    const Vector<T> dt = chunk.dt[t], dt_u = chunk.dt_u[t];
#pragma GCC unroll 8
    for (int n = 0; n < block; ++n) states.a[t][n] = dt * decay[n];
#pragma GCC unroll 8
    for (int n = 0; n < block; n += together) exp2_all<T, together>(states.a[t] + n);
    Vector<T> y = chunk.y[t];
#pragma GCC unroll 8
    for (int n = 0; n < block; ++n) {
      states.h[t + 1][n] = states.a[t][n] * states.h[t][n] + dt_u * B[n];
      if constexpr (gated) y += states.h[t + 1][n] * C[n];
    }
    chunk.y[t] = y;
  }
}

/// Adds to `row` the `size` lanes from `first` on.
template <class T, int size, int first = 0>
M3D_INLINE void add_lanes(T* row, Vector<T> value) {
  if constexpr (size >= 4) {
    typedef T Part __attribute__((vector_size(size * sizeof(T))));
    Part sum;
    __builtin_memcpy(&sum, row, sizeof sum);
    sum += [&]<int... lane>(std::integer_sequence<int, lane...>) {
      return __builtin_shufflevector(value, value, (first + lane)...);
    }
    (std::make_integer_sequence<int, size>{});
    __builtin_memcpy(row, &sum, sizeof sum);
  } else {
    for (int lane = 0; lane < size; ++lane) row[lane] += value[first + lane];
  }
}

/// Adds the lanes of dB (shared[0 … block)) and dC (the rest) to the rows of one token.
template <class T, int block>
M3D_INLINE void add_shared(const Vector<T>* shared, T* grad_B, T* grad_C) {
  if constexpr (2 * block <= kLanes<T>) {
    const Vector<T> sum = sum_lanes<T, 2 * block>(shared);
    add_lanes<T, block>(grad_B, sum);
    add_lanes<T, block, block>(grad_C, sum);
  } else {
    constexpr int sums = block < kLanes<T> ? block : kLanes<T>;
#pragma GCC unroll 8
    for (int k = 0; k < block; k += sums) {
      add_lanes<T, sums>(grad_B + k, sum_lanes<T, sums>(shared + k));
      add_lanes<T, sums>(grad_C + k, sum_lanes<T, sums>(shared + block + k));
    }
  }
}

/// One block of states backwards through one chunk.
template <class T, int block>
M3D_INLINE void reverse_block(const Backward<T>& scan, const Group& group, std::int64_t first_state,
                              BackwardChunk<T>& chunk, const Carried<T>& carried, const Recomputed<T, block>& states,
                              T* grad_BC) {
  Vector<T> back[block], grad_decay[block];
#pragma GCC unroll 8
  for (int n = 0; n < block; ++n) {
    back[n] = carried.grad_state[first_state + n];
    grad_decay[n] = Vector<T>{};
  }
  for (int t = chunk.steps - 1; t >= 0; --t) {
    const std::int64_t token = chunk.first + t;
    if (first_state == 0) prefetch_outputs(scan, group, token);
    const T* B = scan.B.at(group.batch, token) + first_state;
    const T* C = scan.C.at(group.batch, token) + first_state;
    const Vector<T> dt = chunk.dt[t], dt_u = chunk.dt_u[t], grad_y = chunk.grad_y[t];
    Vector<T> grad_dt_u = chunk.grad_dt_u[t], grad_dt = chunk.grad_dt[t];
    Vector<T> shared[2 * block];  // dB, then dC
#pragma GCC unroll 8
    for (int n = 0; n < block; ++n) {
      const Vector<T> g = back[n] + grad_y * C[n];
      shared[n] = dt_u * g;
      shared[block + n] = grad_y * states.h[t + 1][n];
      grad_dt_u += g * B[n];
      back[n] = g * states.a[t][n];
      const Vector<T> grad_exponent = back[n] * states.h[t][n];
      grad_decay[n] += grad_exponent * dt;
      grad_dt += grad_exponent * carried.decay[first_state + n];
    }
    chunk.grad_dt_u[t] = grad_dt_u;
    chunk.grad_dt[t] = grad_dt;
    T* grad_B = grad_BC + token * scan.states + first_state;
    add_shared<T, block>(shared, grad_B, grad_B + scan.length * scan.states);
  }
#pragma GCC unroll 8
  for (int n = 0; n < block; ++n) {
    carried.grad_state[first_state + n] = back[n];
    carried.grad_decay[first_state + n].add(grad_decay[n]);
  }
}

template <class T, int block, bool gated>
void backward_block(const Backward<T>& scan, const Group& group, std::int64_t first_state, BackwardChunk<T>& chunk,
                    const Carried<T>& carried, const Vector<T>* start, T* grad_BC) {
  Recomputed<T, block> states;
  recompute_block<T, block, gated>(scan, group, first_state, chunk, carried.decay + first_state, start, states);
  reverse_block<T, block>(scan, group, first_state, chunk, carried, states, grad_BC);
}

/// From the gradients with respect to dt u, dt and y to those of the inputs.
template <class T>
void store_gradients(const Backward<T>& scan, const BackwardChunk<T>& chunk, Carried<T>& carried) {
  const Group& group = carried.group;
  Vector<T> grad_skip{}, grad_bias{};
  for (int t = 0; t < chunk.steps; ++t) {
    const std::int64_t token = chunk.first + t;
    const Vector<T> u = chunk.u[t];
    Vector<T> grad_delta = chunk.grad_dt[t] * T(kLogOf2) + chunk.grad_dt_u[t] * u;
    if (scan.delta_softplus)
      grad_delta = chunk.raw_dt[t] > T(20) ? grad_delta : grad_delta * sigmoid<T>(chunk.raw_dt[t]);
    const Vector<T> grad_u = chunk.grad_dt_u[t] * chunk.dt[t] + carried.skip * chunk.grad_y[t];
    grad_skip += chunk.grad_y[t] * u;
    grad_bias += grad_delta;
    store_lanes(scan.grad_u.at(group.batch, token) + group.first, grad_u, group.count);
    store_lanes(scan.grad_delta.at(group.batch, token) + group.first, grad_delta, group.count);
    if (scan.z.data) {
      const Vector<T> z = load_lanes(scan.z.at(group.batch, token) + group.first, group.count);
      const Vector<T> grad_z = chunk.grad_out[t] * chunk.y[t] * silu_derivative<T>(z);
      store_lanes(scan.grad_z.at(group.batch, token) + group.first, grad_z, group.count);
    }
  }
  carried.grad_skip.add(grad_skip);
  carried.grad_bias.add(grad_bias);
}

template <class T>
Carried<T> start_gradients(const Backward<T>& scan, const Group& group, Vector<T>* memory) {
  const auto sums = reinterpret_cast<CompensatedSum<T>*>(memory + 2 * scan.states);
  Carried<T> carried{group, memory, memory + scan.states, sums, {}, {}, {}, {}};
  carried.bias = load_channels(scan.delta_bias, group);
  carried.skip = load_channels(scan.D, group);
  load_decay(scan, group, carried.decay);
  const T* grad = scan.grad_last_state;
  for (std::int64_t n = 0; n < scan.states; ++n) {
    carried.grad_decay[n] = {};
    carried.grad_state[n] = Vector<T>{};
    for (int lane = 0; grad && lane < group.count; ++lane)
      carried.grad_state[n][lane] = grad[(group.batch * scan.channels + group.first + lane) * scan.states + n];
  }
  return carried;
}

/// One group through one chunk.
template <class T>
void backward_chunk(const Backward<T>& scan, std::int64_t index, Carried<T>& carried, T* grad_BC, Vector<T>* start) {
  const Group& group = carried.group;
  const T* kept = scan.checkpoints + (group.batch * scan.chunks() + index) * scan.states * scan.channels + group.first;
  for (std::int64_t n = 0; n < scan.states; ++n) {
    start[n] = load_lanes(kept + n * scan.channels, group.count);
  }
  BackwardChunk<T> chunk;
  load_chunk(scan, group, index, carried.bias, carried.skip, chunk);
  load_gradients(scan, group, chunk);
  for_each_block<kBackwardBlock>(scan.states, [&]<int block>(std::int64_t n) {
    if (scan.z.data)
      backward_block<T, block, true>(scan, group, n, chunk, carried, start + n, grad_BC);
    else
      backward_block<T, block, false>(scan, group, n, chunk, carried, start + n, grad_BC);
  });
  store_gradients(scan, chunk, carried);
}

template <class T>
void store_carried(const Backward<T>& scan, const Carried<T>& carried, Vector<T>* totals) {
  const Group& group = carried.group;
  for (std::int64_t n = 0; n < scan.states; ++n) totals[n] = carried.grad_decay[n].sum;
  store_states(scan.grad_A_parts + group.batch * scan.channels * scan.states, scan, group, totals);
  const std::int64_t offset = group.batch * scan.channels + group.first;
  store_lanes(scan.grad_D_parts + offset, carried.grad_skip.sum, group.count);
  store_lanes(scan.grad_delta_bias_parts + offset, carried.grad_bias.sum, group.count);
}

/// The groups of the unit take turns at each chunk, so that its B, C and their gradients stay near.
template <class T>
void backward(const Backward<T>& scan, std::int64_t batch, std::int64_t unit, T* scratch) {
  const auto [first, count] = groups_of_unit(scan, unit);
  const std::int64_t size = scan.length * scan.states;
  T* grad_BC = scan.grad_BC_parts + (batch * scan.units + unit) * 2 * size;
  Vector<T>* start = reinterpret_cast<Vector<T>*>(scratch);
  Carried<T> carried[kGroupsPerUnit];
  for (std::int64_t k = 0; k < count; ++k)
    carried[k] = start_gradients(scan, group_of(scan, batch, first + k), start + (1 + 4 * k) * scan.states);
  for (std::int64_t index = scan.chunks() - 1; index >= 0; --index) {
    const std::int64_t begin = index * kChunk * scan.states, end = begin + kChunk * scan.states;
    for (std::int64_t i = begin; i < end && i < size; ++i) grad_BC[i] = grad_BC[size + i] = T(0);
    for (std::int64_t k = 0; k < count; ++k) backward_chunk(scan, index, carried[k], grad_BC, start);
  }
  for (std::int64_t k = 0; k < count; ++k) store_carried(scan, carried[k], start);
}

template <class T>
std::int64_t scratch_size(std::int64_t states) {
  return (1 + 4 * kGroupsPerUnit) * states * kLanes<T>;
}

}  // namespace

template <class T>
Loops<T> table() {
  return {kLanes<T>, scratch_size<T>, forward<T>, backward<T>};
}
template Loops<float> table<float>();
template Loops<double> table<double>();

}  // namespace m3d::selective_scan_loops::M3D_ISA
