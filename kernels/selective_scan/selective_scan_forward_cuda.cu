// The selective scan on CUDA, forward. B, L, D = batch, tokens, channels; N = states.
//
// Few channels and long sequences are the rule here, so that the device is filled along the sequence: it is cut into
// chunks of 32 tokens. (1) Every chunk is run from a zero state; (2) a scan over chunks, with the decay of a chunk from
// its sum of dt, finds the state that enters each; (3) every chunk is run again from there and gives y. Lanes are
// channels: reads and writes of [B, L, D] are dense in every order of tokens, a warp reads a row of B or C once for 32
// channels from shared memory in one broadcast, and there is no barrier except around staging those rows. Segments of
// the sequence are sized so that step 3 finds u and delta in the second-level cache. With 65,536 channels and more
// nothing is cut, and only step 3 runs. Additions have one order: two calls give the same bits.
//
// Limits, reasoned (bfloat16, N = 16, H100 SXM: 3.35 TB/s, 132 SMs at 1.75 GHz): u, delta and y are 6 bytes a channel
// and token: 1.8 ps. An exponential a state and token at 16 a cycle and SM: 4.3 ps, already 2.4 times the memory's
// time. So float32 decays bound any scan with N = 16 to 42 % of the memory roofline; a tensor-long first pass that
// finds the states computes each twice: 21 %. Instructions (about 5 a state and token in step 3, 4 in step 1) take 0.6
// of that. Memory bounds N <= 4. What was weighed and left: keeping exponentials in registers between steps 1 and 3
// within a thread block (a chain of blocks along the sequence then waits on its neighbour for each of them), and
// exponentials on the multiply-add pipe (9 instructions each; saves a tenth at best). Registers and occupancy:
// scripts/kernel-resources. Not measured where no GPU was at hand.
#include "kernels/selective_scan/selective_scan_device.cuh"

namespace m3d::selective_scan_cuda {
namespace {

constexpr int kTile = 16;
constexpr int kAhead = 8;
constexpr int kWarps = 4;

template <class T>
struct Units : Forward<T> {
  Layout layout;
  const Sums<T>* entering;  // [B, units, N, D]
  Sums<T>* leaving;         // [B, N, D] or null; not null where there is one unit
};

/// h = a h + (dt u) B; returns this lane's part of C h.
template <int block, class Value>
M3D_DEVICE Value step(Value dt, Value u, const Value* B_row, const Value* C_row, const Value (&decays)[block],
                      Value (&h)[block]) {
  Value B[block], C[block], y = 0;
  load_row(B_row, B);
  load_row(C_row, C);
  const Value dtu = dt * u;
#pragma unroll
  for (int i = 0; i < block; ++i) {
    h[i] = fast_exp2(dt * decays[i]) * h[i] + dtu * B[i];
    y += C[i] * h[i];
  }
  return y;
}

template <class T, int block>
__global__ void __launch_bounds__(kWarps* kWarp) outputs(Units<T> in) {
  using Value = Sums<T>;
  const Layout& layout = in.layout;
  const Place at = place_of(layout, in.segment.units(), layout.channel_blocks, block);
  const std::int64_t channel = channel_of(layout, at, at.channel_block);
  const bool active = channel < in.channels;
  const std::int64_t reading = active ? channel : in.channels - 1;
  Value* const B_rows = shared_memory<Value>();
  Value* const C_rows = B_rows + kTile * layout.row;
  auto* const tokens = reinterpret_cast<std::int32_t*>(C_rows + kTile * layout.row);
  Value decays[block], h[block];
  load_decays(in, at, channel, decays);
  load_states(in, at, in.entering, at.batch * in.segment.units() + at.unit, channel, h);
  const Value skip = in.D ? in.D[reading] : Value(0);
  const std::int64_t begin = in.segment.begin + at.unit * in.segment.unit;
  const std::int64_t end = begin + in.segment.unit < in.segment.end ? begin + in.segment.unit : in.segment.end;
  for (std::int64_t first = begin; first < end; first += kTile) {
    if (in.kept && first % kChunk<T> == 0)
      store_states(in, at, in.kept, at.batch * in.chunks() + first / kChunk<T>, channel, h);
    __syncthreads();
    stage_tokens(in, first, end, kTile, tokens);
    stage_rows(in, in.B, at, layout, first, end, kTile, B_rows);
    stage_rows(in, in.C, at, layout, first, end, kTile, C_rows);
    __syncthreads();
    for (int group = 0; group < kTile; group += kAhead) {
      Value dt[kAhead], u[kAhead];
#pragma unroll
      for (int j = 0; j < kAhead; ++j) {
        const std::int32_t token = tokens[group + j];
        dt[j] = token < 0 ? Value(0) : time_step(in, at.batch, token, reading);
        u[j] = token < 0 ? Value(0) : load(in.u.at(at.batch, token) + reading);
      }
#pragma unroll
      for (int j = 0; j < kAhead; ++j) {
        const int row = (group + j) * layout.row + at.state;
        const Value y = sum_over_parts(layout, step(dt[j], u[j], B_rows + row, C_rows + row, decays, h));
        const std::int32_t token = tokens[group + j];
        if (token >= 0 && active && at.part == 0)
          accumulate(in.y, (at.batch * in.length + token) * in.channels + channel, y + skip * u[j],
                     in.y.last ? gate(in, at.batch, token, channel) : Value(1));
      }
    }
  }
  if (in.leaving) store_states(in, at, in.leaving, at.batch, channel, h);
}

}  // namespace

template <class T>
void run_forward(const Forward<T>& scan, cudaStream_t stream) {
  with_forward_block<T>(scan.states, [&](auto block) {
    const Layout layout = layout_of(scan.channels, scan.states, block, kWarps);
    const bool whole = scan.segment.unit >= scan.length;
    if (!whole) find_unit_states<false, T>(scan, layout, {}, stream);
    Units<T> units{scan, layout, whole ? scan.carry : scan.unit_states, whole ? scan.carry : nullptr};
    const std::size_t shared = kTile * (2 * layout.row * sizeof(Sums<T>) + sizeof(std::int32_t));
    launch(outputs<T, decltype(block)::value>,
           {scan.batch * scan.segment.units() * layout.channel_blocks, layout.threads(), shared, stream}, units);
  });
}

template void run_forward(const Forward<float>&, cudaStream_t);
template void run_forward(const Forward<double>&, cudaStream_t);
template void run_forward(const Forward<c10::BFloat16>&, cudaStream_t);
template void run_forward(const Forward<c10::Half>&, cudaStream_t);

}  // namespace m3d::selective_scan_cuda
