// The selective scan on CUDA, backward. With g = grad_y silu(z) and m the gradient that enters a token's state from
// behind:  l = g C + m (the gradient of the state),  m <- a l.  As in the forward, (1) chunks from zero, now from their
// ends, and (2) a scan over chunks give the m that enters each chunk; (3) here, each chunk is run forward from its kept
// state, leaving a state every few tokens in shared memory, then backward in blocks of those few tokens, whose states
// and decays are recomputed into registers. Every gradient is written anew, none is added to what was there.
//
// Gradients that channels share (B, C) are added over the lanes of a warp by halving (a shuffle a value), over the
// warps of a block in shared memory, over blocks by sum_parts: always in the same order, no atomics. Those that tokens
// share (A, D, delta_bias) are left by every unit and added by sum_parts, too.
//
// Limits, reasoned as in the forward: u, delta, grad_y, grad_u, grad_delta are 10 bytes a channel and token, 3.0 ps;
// three exponentials a state and token (step 1, and both passes of step 3) 13 ps, about 28 instructions 15 ps: a fifth
// of the memory roofline at N = 16, memory-bound at N <= 2.
#include "kernels/cuda/sum_parts.h"
#include "kernels/selective_scan/selective_scan_device.cuh"

namespace m3d::selective_scan_cuda {
namespace {

constexpr int kWarps = 4;

/// Tokens whose states and decays are in registers at a time.
template <class T>
constexpr int kBlockTokens = std::is_same_v<T, double> ? 2 : 4;

template <class T>
struct Units : Backward<T> {
  Layout layout;
  Sums<T>* leaving;  // [B, N, D] or null; not null where there is one unit
};

/// The shared memory of a thread block.
template <class T>
struct Shared {
  using Value = Sums<T>;
  Value *B_rows, *C_rows;  // [chunk, row]
  Value* sums;             // [warps, kBlockTokens, 2, row]: of grad B and grad C over the channels of a warp
  Value *dt, *u, *g;       // [chunk, channels], of this warp
  Value* states;           // [chunk / kBlockTokens, block, lanes], of this warp
  std::int32_t* tokens;    // [chunk]

  static constexpr std::size_t warp_values(const Layout& layout, int block) {
    return kChunk<T> * 3 * layout.channels + kChunk<T> / kBlockTokens<T> * block * kWarp;
  }
  static constexpr std::size_t bytes(const Layout& layout, int block) {
    const std::size_t rows = 2 * kChunk<T> + 2 * kBlockTokens<T> * layout.warps;
    return (rows * layout.row + layout.warps * warp_values(layout, block)) * sizeof(Value) +
           kChunk<T> * sizeof(std::int32_t);
  }
  M3D_DEVICE Shared(const Layout& layout, int block, int warp) {
    B_rows = shared_memory<Value>();
    C_rows = B_rows + kChunk<T> * layout.row;
    sums = C_rows + kChunk<T> * layout.row;
    Value* const warps = sums + 2 * kBlockTokens<T> * layout.warps * layout.row;
    states = warps + warp * warp_values(layout, block);
    dt = states + kChunk<T> / kBlockTokens<T> * block * kWarp;
    u = dt + kChunk<T> * layout.channels;
    g = u + kChunk<T> * layout.channels;
    tokens = reinterpret_cast<std::int32_t*>(warps + layout.warps * warp_values(layout, block));
  }
};

/// dt, u and g of this warp's channels; the parts of a channel take turns. Zeros where there is no token or channel.
template <class T>
M3D_DEVICE void stage_tokens_of_warp(const Units<T>& in, const Shared<T>& shared, const Place& at,
                                     std::int64_t channel) {
  using Value = Sums<T>;
  for (int j = at.part; j < kChunk<T>; j += in.layout.parts) {
    const std::int32_t token = channel < in.channels ? shared.tokens[j] : -1;
    const int i = j * in.layout.channels + at.channel_lane;
    shared.dt[i] = token < 0 ? Value(0) : time_step(in, at.batch, token, channel);
    shared.u[i] = token < 0 ? Value(0) : load(in.u.at(at.batch, token) + channel);
    shared.g[i] =
        token < 0 ? Value(0) : load(in.grad_y.at(at.batch, token) + channel) * gate(in, at.batch, token, channel);
  }
}

/// Runs the chunk forward and leaves the state before every block of tokens in shared memory.
template <int block, class T>
M3D_DEVICE void leave_states(const Units<T>& in, const Shared<T>& shared, const Place& at,
                             const Sums<T> (&decays)[block], Sums<T> (&h)[block]) {
  using Value = Sums<T>;
  for (int first = 0; first < kChunk<T>; first += kBlockTokens<T>) {
#pragma unroll
    for (int i = 0; i < block; ++i) shared.states[(first / kBlockTokens<T> * block + i) * kWarp + at.lane] = h[i];
    if (first + kBlockTokens<T> == kChunk<T>) break;
#pragma unroll
    for (int j = first; j < first + kBlockTokens<T>; ++j) {
      const Value dt = shared.dt[j * in.layout.channels + at.channel_lane];
      const Value dtu = dt * shared.u[j * in.layout.channels + at.channel_lane];
      Value B[block];
      load_row(shared.B_rows + j * in.layout.row + at.state, B);
#pragma unroll
      for (int i = 0; i < block; ++i) h[i] = fast_exp2(dt * decays[i]) * h[i] + dtu * B[i];
    }
  }
}

/// Adds `values`, those of `count` neighbouring states, over the channel lanes of the warp and writes the sums. Each
/// step halves the lanes that a sum is spread over, and, while there are several, the sums that a lane is left with.
template <int count, class Value>
M3D_DEVICE void store_channel_sums(Value* values, int lanes, int lane, Value* sums) {
  if constexpr (count > 1) {
    if (lanes > 1) {
      const int bits = lanes / 2;
      const bool upper = (lane & bits) != 0;
#pragma unroll
      for (int i = 0; i < count / 2; ++i) {
        const Value mine = upper ? values[count / 2 + i] : values[i];
        const Value other = upper ? values[i] : values[count / 2 + i];
        values[i] = mine + from_lane_xor(other, bits);
      }
      store_channel_sums<count / 2>(values, bits, lane, sums + (upper ? count / 2 : 0));
      return;
    }
#pragma unroll
    for (int i = 0; i < count; ++i) sums[i] = values[i];
  } else {
    for (int bits = lanes / 2; bits > 0; bits /= 2) values[0] += from_lane_xor(values[0], bits);
    if ((lane & (lanes - 1)) == 0) sums[0] = values[0];
  }
}

/// What a thread carries through the chunks of a unit, from the last to the first.
template <class Value, int block>
struct Running {
  Value decays[block], m[block] = {}, grad_A[block] = {}, grad_D = 0, grad_bias = 0;
};

/// Of one token: sums over this lane's states.
template <class Value>
struct TokenSums {
  Value Bl = 0;   // B l
  Value Adh = 0;  // A log2(e) l a h before
  Value Ch = 0;   // C h
};

/// A block of tokens backward. Leaves the sums of the gradients of B and C over the warp in shared memory.
template <int block, class T>
M3D_DEVICE void block_backward(const Units<T>& in, const Shared<T>& shared, const Place& at, int first,
                               Running<Sums<T>, block>& run, TokenSums<Sums<T>> (&token_sums)[kBlockTokens<T>]) {
  using Value = Sums<T>;
  const int channels = in.layout.channels;
  Value* const sums = shared.sums + at.warp * 2 * kBlockTokens<T> * in.layout.row + at.state;
  Value h[block], a[kBlockTokens<T>][block], ah[kBlockTokens<T>][block], values[block], row[block];
#pragma unroll
  for (int i = 0; i < block; ++i) h[i] = shared.states[(first / kBlockTokens<T> * block + i) * kWarp + at.lane];
#pragma unroll
  for (int j = 0; j < kBlockTokens<T>; ++j) {
    const int token = first + j, value = token * channels + at.channel_lane;
    const Value dt = shared.dt[value], dtu = dt * shared.u[value], g = shared.g[value];
    load_row(shared.B_rows + token * in.layout.row + at.state, row);
#pragma unroll
    for (int i = 0; i < block; ++i) {
      a[j][i] = fast_exp2(dt * run.decays[i]);
      ah[j][i] = a[j][i] * h[i];
      h[i] = ah[j][i] + dtu * row[i];
      values[i] = g * h[i];
    }
    if (in.z.data) {
      load_row(shared.C_rows + token * in.layout.row + at.state, row);
#pragma unroll
      for (int i = 0; i < block; ++i) token_sums[j].Ch += row[i] * h[i];
    }
    store_channel_sums<block>(values, channels, at.lane, sums + (2 * j + 1) * in.layout.row);
  }
#pragma unroll
  for (int j = kBlockTokens<T> - 1; j >= 0; --j) {
    const int token = first + j, value = token * channels + at.channel_lane;
    const Value dt = shared.dt[value], dtu = dt * shared.u[value], g = shared.g[value];
    Value B[block];
    load_row(shared.C_rows + token * in.layout.row + at.state, row);
    load_row(shared.B_rows + token * in.layout.row + at.state, B);
#pragma unroll
    for (int i = 0; i < block; ++i) {
      const Value l = g * row[i] + run.m[i], lah = l * ah[j][i];
      values[i] = l * dtu;
      token_sums[j].Bl += l * B[i];
      token_sums[j].Adh += lah * run.decays[i];
      run.grad_A[i] += lah * dt;
      run.m[i] = l * a[j][i];
    }
    store_channel_sums<block>(values, channels, at.lane, sums + 2 * j * in.layout.row);
  }
}

/// The gradients of u, delta and z of one token.
template <int block, class T>
M3D_DEVICE void store_token(const Units<T>& in, const Shared<T>& shared, const Place& at, std::int64_t channel, int j,
                            const TokenSums<Sums<T>>& sums, Running<Sums<T>, block>& run) {
  using Value = Sums<T>;
  const std::int32_t token = shared.tokens[j];
  if (token < 0 || channel >= in.channels) return;
  const int i = j * in.layout.channels + at.channel_lane;
  const Value u = shared.u[i], g = shared.g[i], skip = in.D ? in.D[channel] : Value(0);
  const std::int64_t index = (at.batch * in.length + token) * in.channels + channel;
  Value grad_delta = sums.Bl * u + sums.Adh * Value(kLn2);
  if (in.delta_softplus) grad_delta *= softplus_derivative(biased_delta(in, at.batch, token, channel));
  run.grad_D += g * u;
  run.grad_bias += grad_delta;
  accumulate(in.grad_u, index, sums.Bl * shared.dt[i] + skip * g, Value(1));
  accumulate(in.grad_delta, index, grad_delta, Value(1));
  if (!in.z.data) return;
  const Value z = load(in.z.at(at.batch, token) + channel), grad_y = load(in.grad_y.at(at.batch, token) + channel);
  accumulate(in.grad_z, index, grad_y * silu_derivative(z) * (sums.Ch + skip * u), Value(1));
}

/// Adds the warps' sums of the gradients of B and C of a block of tokens and writes them to this block's part.
template <class T>
M3D_DEVICE void store_BC(const Units<T>& in, const Shared<T>& shared, const Place& at, int first, bool add) {
  using Value = Sums<T>;
  const int row = in.layout.row, all = 2 * kBlockTokens<T> * row;
  for (int i = threadIdx.x; i < all; i += blockDim.x) {
    const int state = i % row, which = i / row % 2;
    const std::int32_t token = shared.tokens[first + i / (2 * row)];
    if (token < 0 || state >= in.states) continue;
    Value total = shared.sums[i];
    for (int warp = 1; warp < in.layout.warps; ++warp) total += shared.sums[warp * all + i];
    const std::int64_t plane = (at.channel_block * 2 + which) * in.batch + at.batch;
    Value* const part = in.BC_parts + (plane * in.length + token) * in.states + state;
    *part = add ? *part + total : total;
  }
}

template <int block, class T>
M3D_DEVICE void chunk_backward(const Units<T>& in, const Shared<T>& shared, const Place& at, std::int64_t channel,
                               std::int64_t first, std::int64_t end, bool add_BC, Running<Sums<T>, block>& run) {
  using Value = Sums<T>;
  stage_tokens(in, first, end, kChunk<T>, shared.tokens);
  stage_rows(in, in.B, at, in.layout, first, end, kChunk<T>, shared.B_rows);
  stage_rows(in, in.C, at, in.layout, first, end, kChunk<T>, shared.C_rows);
  __syncthreads();
  stage_tokens_of_warp(in, shared, at, channel);
  __syncwarp();
  Value h[block];
  load_states(in, at, in.kept, at.batch * in.chunks() + first / kChunk<T>, channel, h);
  leave_states(in, shared, at, run.decays, h);
  for (int tokens = kChunk<T> - kBlockTokens<T>; tokens >= 0; tokens -= kBlockTokens<T>) {
    TokenSums<Value> sums[kBlockTokens<T>];
    block_backward(in, shared, at, tokens, run, sums);
#pragma unroll
    for (int j = 0; j < kBlockTokens<T>; ++j) {
      sums[j].Bl = sum_over_parts(in.layout, sums[j].Bl);
      sums[j].Adh = sum_over_parts(in.layout, sums[j].Adh);
      if (in.z.data) sums[j].Ch = sum_over_parts(in.layout, sums[j].Ch);
      if (j % in.layout.parts == at.part) store_token(in, shared, at, channel, tokens + j, sums[j], run);
    }
    __syncthreads();
    store_BC(in, shared, at, tokens, add_BC);
    __syncthreads();
  }
}

template <class T, int block>
__global__ void __launch_bounds__(kWarps* kWarp) gradients(Units<T> in) {
  using Value = Sums<T>;
  const Place at = place_of(in.layout, in.segment.units(), in.BC_parts_count, block);
  const Shared<T> shared(in.layout, block, at.warp);
  const std::int64_t begin = in.segment.begin + at.unit * in.segment.unit;
  const std::int64_t end = begin + in.segment.unit < in.segment.end ? begin + in.segment.unit : in.segment.end;
  const std::int64_t unit = at.batch * in.segment.units() + at.unit;
  const std::int64_t last = begin + (end - 1 - begin) / kChunk<T> * kChunk<T>;
  for (std::int64_t b = at.channel_block; b < in.layout.channel_blocks; b += in.BC_parts_count) {
    const std::int64_t channel = channel_of(in.layout, at, b);
    Running<Value, block> run;
    load_decays(in, at, channel, run.decays);
    load_states(in, at, in.leaving ? in.leaving : in.unit_states, in.leaving ? at.batch : unit, channel, run.m);
    for (std::int64_t first = last; first >= begin; first -= kChunk<T>)
      chunk_backward(in, shared, at, channel, first, end, in.add_to_BC_parts || b != at.channel_block, run);
    store_states(in, at, in.unit_states, unit, channel, run.grad_A);
    if (in.leaving) store_states(in, at, in.leaving, at.batch, channel, run.m);
    run.grad_D = sum_over_parts(in.layout, run.grad_D);
    run.grad_bias = sum_over_parts(in.layout, run.grad_bias);
    if (at.part == 0 && channel < in.channels) {
      in.unit_sums[unit * 2 * in.channels + channel] = run.grad_D;
      in.unit_sums[(unit * 2 + 1) * in.channels + channel] = run.grad_bias;
    }
  }
}

/// Calls run(std::integral_constant) with the states that a lane of `gradients` holds.
template <class T, class Run>
void with_backward_block(int states, const Run& run) {
  if constexpr (!std::is_same_v<T, double>)
    if (states <= 4) return run(std::integral_constant<int, 4>{});
  run(std::integral_constant<int, 8>{});
}

/// Fewer warps a block where their shared memory would not fit. One warp's always does: 90 KB at most, with 256 states.
template <class T>
Layout backward_layout(std::int64_t channels, int states, int block) {
  const std::size_t most_shared = most_shared_bytes();
  Layout layout = layout_of(channels, states, block, kWarps);
  for (int warps = kWarps / 2; warps > 0 && Shared<T>::bytes(layout, block) > most_shared; warps /= 2)
    layout = layout_of(channels, states, block, warps);
  return layout;
}

}  // namespace

template <class T>
std::int64_t BC_parts_count(std::int64_t channels, std::int64_t states) {
  std::int64_t blocks = 1;
  with_backward_block<T>(static_cast<int>(states), [&](auto block) {
    blocks = backward_layout<T>(channels, static_cast<int>(states), block).channel_blocks;
  });
  // All parts together are at most as large as two float32 tensors like u: blocks beyond that take turns in one part.
  return std::clamp<std::int64_t>(channels / states, 1, std::max<std::int64_t>(blocks, 1));
}

template <class T>
void run_backward(const Backward<T>& scan, cudaStream_t stream) {
  const bool whole = scan.segment.unit >= scan.length;
  const std::int64_t units = scan.batch * scan.segment.units();
  if (!whole)
    with_forward_block<T>(scan.states, [&](auto block) {
      find_unit_states<true, T>(scan, layout_of(scan.channels, scan.states, block, kWarps), scan.grad_y, stream);
    });
  with_backward_block<T>(scan.states, [&](auto block) {
    const Layout layout = backward_layout<T>(scan.channels, scan.states, block);
    const Units<T> arguments{scan, layout, whole ? scan.carry : nullptr};
    launch(gradients<T, decltype(block)::value>,
           {units * scan.BC_parts_count, layout.threads(), Shared<T>::bytes(layout, block), stream}, arguments);
  });
  using Value = Sums<T>;
  const std::int64_t channels = scan.channels;
  sum_parts<Value, Value>({scan.unit_states, units, scan.states * channels, true, scan.grad_A}, stream);
  sum_parts<Value, Value>({scan.unit_sums, units, 2 * channels, true, scan.grad_D}, stream);
}

#define M3D_INSTANTIATE(T)                                             \
  template std::int64_t BC_parts_count<T>(std::int64_t, std::int64_t); \
  template void run_backward(const Backward<T>&, cudaStream_t);
M3D_FOR_EACH_STORAGE(M3D_INSTANTIATE)

}  // namespace m3d::selective_scan_cuda
