#pragma once
// Device code that forward and backward of the scan share. A lane holds `block` states of one channel in registers; the
// lanes of a warp are channels side by side (so that reads of [B, L, D] are dense), and, where a channel has more
// states than one lane holds, several parts of the states of fewer channels.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/selective_scan/selective_scan_cuda.h"

namespace m3d::selective_scan_cuda {

using namespace m3d::cuda;

/// How lanes are dealt out. A thread block is a batch, a unit and `warps` neighbouring groups of channels.
struct Layout {
  int parts, channels, warps;   // parts of a channel's states, channels of a warp, warps of a thread block
  std::int64_t channel_blocks;  // thread blocks over all channels
  int row;                      // values of a row of B or C in shared memory, zeros beyond the states
  int threads() const { return warps * kWarp; }
};

inline Layout layout_of(std::int64_t channels, int states, int block, int most_warps) {
  Layout layout{};
  layout.parts = 1;
  while (layout.parts * block < states) layout.parts *= 2;
  layout.channels = kWarp / layout.parts;
  const std::int64_t groups = divide_up(channels, layout.channels);
  layout.channel_blocks = divide_up(groups, most_warps);
  layout.warps = static_cast<int>(divide_up(groups, layout.channel_blocks));
  layout.row = layout.parts * block;
  return layout;
}

/// Where a thread works.
struct Place {
  std::int64_t batch, unit, channel_block;
  int warp, lane, channel_lane, part, state;  // state: the first of this lane's
};

M3D_DEVICE Place place_of(const Layout& layout, std::int64_t units, std::int64_t channel_blocks, int block) {
  const std::int64_t rest = blockIdx.x / channel_blocks;
  Place at;
  at.channel_block = blockIdx.x % channel_blocks;
  at.batch = rest / units;
  at.unit = rest % units;
  at.warp = threadIdx.x / kWarp;
  at.lane = threadIdx.x % kWarp;
  at.channel_lane = at.lane % layout.channels;
  at.part = at.lane / layout.channels;
  at.state = at.part * block;
  return at;
}

/// The channel of this lane; it may lie beyond the last one.
M3D_DEVICE std::int64_t channel_of(const Layout& layout, const Place& at, std::int64_t channel_block) {
  return (channel_block * layout.warps + at.warp) * layout.channels + at.channel_lane;
}

/// The token at a position of the scan; -1 from `end` on, and where a wrong order points outside the sequence.
template <class T>
M3D_DEVICE std::int32_t token_at(const Inputs<T>& in, std::int64_t position, std::int64_t end) {
  if (position >= end) return -1;
  if (!in.order) return static_cast<std::int32_t>(position);
  const std::int32_t token = in.order[position];
  return token < in.length ? token : -1;
}

template <class T>
M3D_DEVICE void stage_tokens(const Inputs<T>& in, std::int64_t begin, std::int64_t end, int count,
                             std::int32_t* tokens) {
  for (int i = threadIdx.x; i < count; i += blockDim.x) tokens[i] = token_at(in, begin + i, end);
}

/// Rows of B or C for `count` positions, zero where there is no token or no state.
template <class T>
M3D_DEVICE void stage_rows(const Inputs<T>& in, const Tokens<const T>& source, const Place& at, const Layout& layout,
                           std::int64_t begin, std::int64_t end, int count, Sums<T>* rows) {
  for (int i = threadIdx.x; i < count * layout.row; i += blockDim.x) {
    const int state = i % layout.row;
    const std::int32_t token = token_at(in, begin + i / layout.row, end);
    rows[i] = token >= 0 && state < in.states ? load(source.at(at.batch, token) + state) : Sums<T>(0);
  }
}

/// A log2(e) of this lane's states, zero beyond the last.
template <int block, class T>
M3D_DEVICE void load_decays(const Inputs<T>& in, const Place& at, std::int64_t channel, Sums<T> (&decays)[block]) {
#pragma unroll
  for (int i = 0; i < block; ++i)
    decays[i] = channel < in.channels && at.state + i < in.states
                    ? in.A[channel * in.states + at.state + i] * Sums<T>(kLog2E)
                    : Sums<T>(0);
}

/// Where state `state` of a channel lies in a [.., N, D] block.
template <class T>
M3D_DEVICE std::int64_t state_index(const Inputs<T>& in, std::int64_t block, int state, std::int64_t channel) {
  return (block * in.states + state) * in.channels + channel;
}

template <int block, class T>
M3D_DEVICE void load_states(const Inputs<T>& in, const Place& at, const Sums<T>* states, std::int64_t outer,
                            std::int64_t channel, Sums<T> (&h)[block]) {
#pragma unroll
  for (int i = 0; i < block; ++i)
    h[i] = channel < in.channels && at.state + i < in.states
               ? states[state_index(in, outer, at.state + i, channel)]
               : Sums<T>(0);
}

template <int block, class T>
M3D_DEVICE void store_states(const Inputs<T>& in, const Place& at, Sums<T>* states, std::int64_t outer,
                             std::int64_t channel, const Sums<T> (&h)[block]) {
#pragma unroll
  for (int i = 0; i < block; ++i)
    if (channel < in.channels && at.state + i < in.states)
      states[state_index(in, outer, at.state + i, channel)] = h[i];
}

/// delta + delta_bias of a token.
template <class T>
M3D_DEVICE Sums<T> biased_delta(const Inputs<T>& in, std::int64_t batch, std::int32_t token, std::int64_t channel) {
  const Sums<T> delta = load(in.delta.at(batch, token) + channel);
  return in.delta_bias ? delta + in.delta_bias[channel] : delta;
}

/// dt of a token.
template <class T>
M3D_DEVICE Sums<T> time_step(const Inputs<T>& in, std::int64_t batch, std::int32_t token, std::int64_t channel) {
  const Sums<T> delta = biased_delta(in, batch, token, channel);
  return in.delta_softplus ? softplus(delta) : delta;
}

/// silu(z) of a token, 1 without a gate.
template <class T>
M3D_DEVICE Sums<T> gate(const Inputs<T>& in, std::int64_t batch, std::int32_t token, std::int64_t channel) {
  return in.z.data ? silu(load(in.z.at(batch, token) + channel)) : Sums<T>(1);
}

/// Adds to one value of a result: out = (sum of all scans) * factor after the last of them.
template <class T>
M3D_DEVICE void accumulate(const Accumulated<T>& result, std::int64_t index, Sums<T> value, Sums<T> factor) {
  if (!result.first) value += result.sum[index];
  if (result.last)
    result.out[index] = static_cast<T>(value * factor);
  else
    result.sum[index] = value;
}

/// The sum over the parts of a channel, in every one of its lanes.
template <class Value>
M3D_DEVICE Value sum_over_parts(const Layout& layout, Value value) {
  for (int bits = layout.channels; bits < kWarp; bits *= 2) value += from_lane_xor(value, bits);
  return value;
}

/// Every unit run from a zero state: forward, the state it leaves; reverse, the gradient that it hands to the unit
/// before it. Also the sum of dt, from which the decay over the whole unit follows.
template <class T>
struct FromZero : Inputs<T> {
  Layout layout;
  Segment segment;
  Tokens<const T> grad_y;  // reverse
  Sums<T>* unit_states;    // [B, units, N, D]
  Sums<T>* unit_times;     // [B, units, D]
};
template <bool reverse, class T>
void run_from_zero(const FromZero<T>& units, cudaStream_t stream);

/// The states that enter the units, in place of those that they leave when run from zero.
template <class Value>
struct Carry {
  std::int64_t batch, channels, units;
  int states;
  bool reverse;              // the last unit comes first
  const Value* A;            // [D, N]
  Value* unit_states;        // [B, units, N, D]
  const Value* unit_times;   // [B, units, D]
  Value* carry;              // [B, N, D]: what enters the first unit, replaced by what leaves the last
};
template <class Value>
void run_carry(const Carry<Value>& carry, cudaStream_t stream);

/// Both steps, unless the one unit of the segment takes its state from the carry itself.
template <bool reverse, class T, class Scan>
void find_unit_states(const Scan& scan, const Layout& layout, const Tokens<const T>& grad_y, cudaStream_t stream) {
  run_from_zero<reverse, T>({scan, layout, scan.segment, grad_y, scan.unit_states, scan.unit_times}, stream);
  run_carry<Sums<T>>({scan.batch, scan.channels, scan.segment.units(), scan.states, reverse, scan.A, scan.unit_states,
                      scan.unit_times, scan.carry},
                     stream);
}

/// Calls run(std::integral_constant) with the states that a lane of the forward kernels holds.
template <class T, class Run>
void with_forward_block(int states, const Run& run) {
  if constexpr (std::is_same_v<T, double>)
    run(std::integral_constant<int, 8>{});
  else if (states <= 8)
    run(std::integral_constant<int, 4>{});
  else
    run(std::integral_constant<int, 16>{});
}

}  // namespace m3d::selective_scan_cuda
