#pragma once
// What forward and backward loops of the selective scan share: groups of channels, and the tokens of one chunk copied
// into dense vectors, converted and in the order of the pass. Rows of the tensors themselves may lie a power of two
// apart and would then fall into the same cache set.
#include <type_traits>

#include "kernels/selective_scan/selective_scan_loops.h"
#include "kernels/simd/convert.h"

namespace m3d::selective_scan_loops::M3D_ISA {

using namespace m3d::M3D_ISA;

inline constexpr int kTogether = 4;  // exponentials whose chains are interleaved

/// Calls block.template operator()<size>(first) for state blocks of the largest power-of-two sizes that fit.
template <int size, class Block>
M3D_INLINE void for_each_block(std::int64_t states, Block&& block, std::int64_t first = 0) {
  for (; first + size <= states; first += size) block.template operator()<size>(first);
  if constexpr (size > 1) {
    if (first < states) for_each_block<size / 2>(states, block, first);
  }
}

/// The channels of one group.
struct Group {
  std::int64_t batch, first;
  int count;
};

template <class T, class S>
Group group_of(const Inputs<T, S>& in, std::int64_t batch, std::int64_t group) {
  const std::int64_t first = group * kLanes<T>, left = in.channels - first;
  return {batch, first, static_cast<int>(left < kLanes<T> ? left : kLanes<T>)};
}

template <class T>
Vector<T> load_channels(const T* values, const Group& group) {
  return values ? load_lanes(values + group.first, group.count) : Vector<T>{};
}

/// The group's rows of a [B, D, N] tensor as [N] vectors; zeros if it is absent.
template <class T, class S>
void load_states(const T* matrix, const Inputs<T, S>& in, const Group& group, Vector<T>* states) {
  for (std::int64_t n = 0; n < in.states; ++n) {
    states[n] = Vector<T>{};
    for (int lane = 0; matrix && lane < group.count; ++lane)
      states[n][lane] = matrix[(group.batch * in.channels + group.first + lane) * in.states + n];
  }
}

template <class T, class S>
void store_states(T* matrix, const Inputs<T, S>& in, const Group& group, const Vector<T>* states) {
  for (std::int64_t n = 0; n < in.states; ++n)
    for (int lane = 0; lane < group.count; ++lane)
      matrix[(group.batch * in.channels + group.first + lane) * in.states + n] = states[n][lane];
}

/// A' = A log2(e), transposed: [N] vectors.
template <class T, class S>
void load_decay(const Inputs<T, S>& in, const Group& group, Vector<T>* decay) {
  load_states(in.A, in, {0, group.first, group.count}, decay);
  for (std::int64_t n = 0; n < in.states; ++n) decay[n] *= T(kLog2OfE);
}

/// The states kept before a chunk: those of channel d and state n are at [n * channels + d].
template <class T, class S>
std::int64_t checkpoint_offset(const Inputs<T, S>& in, std::int64_t batch, std::int64_t pass, std::int64_t index) {
  return ((batch * in.passes + pass) * in.chunks() + index) * in.states * in.channels;
}

/// The rows of one chunk of B or C, in the order of the pass.
template <class T>
struct ChunkRows {
  const T* first;
  std::int64_t pitch;
  const T* at(int t) const { return first + t * pitch; }
};

/// The tokens of one chunk and of the one that comes after it, and the rows of B and C, which all groups share.
template <class T>
struct Rows {
  int steps;
  std::int64_t token[kChunk], coming[kChunk];
  ChunkRows<T> B, C;
  T* copies;  // [2, kChunk, N]
};

/// Values of T for copies of the rows of B and C, whole vectors.
template <class T>
std::int64_t row_values(std::int64_t states) {
  return (2 * kChunk * states + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

template <class T>
Rows<T> rows_in(T* memory) {
  return {0, {}, {}, {}, {}, memory};
}

/// The tokens at the chunk's positions; beyond an end, the outermost one.
template <class T, class S>
void find_tokens(const Inputs<T, S>& in, std::int64_t pass, std::int64_t index, std::int64_t* tokens) {
  const std::int64_t begin = index * kChunk, last = in.length - 1;
  const std::int32_t* order = in.orders ? in.orders + pass * in.length : nullptr;
  for (std::int64_t t = 0; t < kChunk; ++t) {
    const std::int64_t place = begin + t < 0 ? 0 : begin + t < last ? begin + t : last;
    tokens[t] = order ? order[place] : place;
  }
}

template <class T, class S>
void copy_row(const S* from, std::int64_t count, T* to) {
  for (std::int64_t n = 0; n < count; n += kLanes<T>) {
    const int lanes = static_cast<int>(count - n < kLanes<T> ? count - n : kLanes<T>);
    store_lanes(to + n, load_as<T>(from + n, lanes), lanes);
  }
}

/// The chunk's rows of `tokens` themselves where they can be read in turn, else a copy. Rows a page or more apart would
/// share few sets of the cache.
template <class T, class S>
ChunkRows<T> rows_of(const Inputs<T, S>& in, const Tokens<const S>& tokens, std::int64_t batch, const Rows<T>& rows,
                     T* copies) {
  constexpr std::int64_t page = 4096;
  for (int t = 0; t < rows.steps; ++t) prefetch<false>(tokens.at(batch, rows.coming[t]));
  if constexpr (std::is_same_v<S, T>) {
    const std::int64_t pitch = tokens.token_stride;
    if (!in.orders && pitch * static_cast<std::int64_t>(sizeof(T)) < page)
      return {tokens.at(batch, rows.token[0]), pitch};
  }
  for (int t = 0; t < rows.steps; ++t) copy_row(tokens.at(batch, rows.token[t]), in.states, copies + t * in.states);
  return {copies, in.states};
}

/// `direction`: whether the chunk that comes is the next (1) or the previous one (-1).
template <class T, class S>
void load_rows(const Inputs<T, S>& in, std::int64_t batch, std::int64_t pass, std::int64_t index, int direction,
               Rows<T>& rows) {
  const std::int64_t left = in.length - index * kChunk;
  rows.steps = static_cast<int>(left < kChunk ? left : kChunk);
  find_tokens(in, pass, index, rows.token);
  find_tokens(in, pass, index + direction, rows.coming);
  rows.B = rows_of(in, in.B, batch, rows, rows.copies);
  rows.C = rows_of(in, in.C, batch, rows, rows.copies + kChunk * in.states);
}

/// Asks for the group's part of a token's row. Rows are asked for one at a time between computations: all at once
/// they would wait for each other.
template <bool write, class E>
M3D_INLINE void prefetch_row(const Tokens<E>& tokens, const Group& group, std::int64_t token) {
  if (tokens.data) prefetch<write>(tokens.at(group.batch, token) + group.first);
}

template <class T, class S>
M3D_INLINE void prefetch_inputs(const Inputs<T, S>& in, const Group& group, std::int64_t token) {
  prefetch_row<false>(in.u, group, token);
  prefetch_row<false>(in.delta, group, token);
  prefetch_row<false>(in.z, group, token);
}

/// put(t, dt, u) for the tokens of one group in one chunk. Those beyond the last step are the outermost one, so that
/// whole fours or eights can be loaded.
template <class T, class S, class Put>
M3D_INLINE void load_chunk(const Inputs<T, S>& in, const Group& group, const Rows<T>& rows, Vector<T> bias,
                           const Put& put) {
  constexpr int together = 8;  // logarithms whose chains are interleaved
  for (int first = 0; first < rows.steps; first += together) {
    Vector<T> dt[together];
#pragma GCC unroll 8
    for (int k = 0; k < together; ++k)
      dt[k] = load_as<T>(in.delta.at(group.batch, rows.token[first + k]) + group.first, group.count) + bias;
    if (in.delta_softplus) softplus_all<T, together>(dt);
#pragma GCC unroll 8
    for (int k = 0; k < together; ++k)
      put(first + k, dt[k], load_as<T>(in.u.at(group.batch, rows.token[first + k]) + group.first, group.count));
  }
}

/// Writes a group's part of a token's row, or adds to what an earlier pass wrote there.
template <class T, class O>
M3D_INLINE void put(const Tokens<O>& tokens, const Group& group, std::int64_t token, Vector<T> value, bool add) {
  O* to = tokens.at(group.batch, token) + group.first;
  store_as<T>(to, add ? load_as<T>(to, group.count) + value : value, group.count);
}

}  // namespace m3d::selective_scan_loops::M3D_ISA
