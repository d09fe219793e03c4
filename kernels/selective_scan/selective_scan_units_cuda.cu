// The first two of the three steps of a scan on CUDA: units from zero states, then the states that enter each of them.
// (selective_scan_forward_cuda.cu says why there are three.)
#include "kernels/selective_scan/selective_scan_device.cuh"

namespace m3d::selective_scan_cuda {
namespace {

constexpr int kTile = 16;  // positions whose rows of B or C are in shared memory at a time
constexpr int kAhead = 8;  // positions whose values are asked for before the first is used
constexpr int kWarps = 4;

/// What enters the state at a token, before its factor B (reverse: C).
template <bool reverse, class T>
M3D_DEVICE Sums<T> source_of(const FromZero<T>& in, std::int64_t batch, std::int32_t token, std::int64_t channel,
                             Sums<T> dt) {
  if constexpr (reverse)
    return load(in.grad_y.at(batch, token) + channel) * gate(in, batch, token, channel);
  else
    return dt * load(in.u.at(batch, token) + channel);
}

/// h = a h + (dt u) B, or in reverse m = a (m + g C).
template <int block, bool reverse, class Value>
M3D_DEVICE void step(Value dt, Value source, const Value* row_address, const Value (&decays)[block],
                     Value (&h)[block]) {
  Value row[block];
  load_row(row_address, row);
#pragma unroll
  for (int i = 0; i < block; ++i) {
    const Value a = fast_exp2(dt * decays[i]);
    h[i] = reverse ? a * (source * row[i] + h[i]) : a * h[i] + source * row[i];
  }
}

template <class T, int block, bool reverse>
__global__ void __launch_bounds__(kWarps* kWarp) from_zero(FromZero<T> in) {
  using Value = Sums<T>;
  const Layout& layout = in.layout;
  const Place at = place_of(layout, in.segment.units(), layout.channel_blocks, block);
  const std::int64_t channel = channel_of(layout, at, at.channel_block);
  const std::int64_t reading = channel < in.channels ? channel : in.channels - 1;
  Value* const rows = shared_memory<Value>();
  auto* const tokens = reinterpret_cast<std::int32_t*>(rows + kTile * layout.row);
  Value decays[block], h[block] = {}, time = 0;
  load_decays(in, at, channel, decays);
  const std::int64_t begin = in.segment.begin + at.unit * in.segment.unit;
  const std::int64_t end = begin + in.segment.unit < in.segment.end ? begin + in.segment.unit : in.segment.end;
  const std::int64_t tiles = (end - begin + kTile - 1) / kTile;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const std::int64_t first = begin + (reverse ? tiles - 1 - tile : tile) * kTile;
    __syncthreads();
    stage_tokens(in, first, end, kTile, tokens);
    stage_rows(in, reverse ? in.C : in.B, at, layout, first, end, kTile, rows);
    __syncthreads();
    for (int group = 0; group < kTile; group += kAhead) {
      Value dt[kAhead], source[kAhead];
#pragma unroll
      for (int j = 0; j < kAhead; ++j) {
        const std::int32_t token = tokens[reverse ? kTile - 1 - group - j : group + j];
        // A position without a token leaves the state as it is.
        dt[j] = token < 0 ? Value(0) : time_step(in, at.batch, token, reading);
        source[j] = token < 0 ? Value(0) : source_of<reverse>(in, at.batch, token, reading, dt[j]);
      }
#pragma unroll
      for (int j = 0; j < kAhead; ++j) {
        const int i = reverse ? kTile - 1 - group - j : group + j;
        step<block, reverse>(dt[j], source[j], rows + i * layout.row + at.state, decays, h);
        time += dt[j];
      }
    }
  }
  const std::int64_t unit = at.batch * in.segment.units() + at.unit;
  store_states(in, at, in.unit_states, unit, channel, h);
  if (at.part == 0 && channel < in.channels) in.unit_times[unit * in.channels + channel] = time;
}

constexpr int kRows = 16;  // runs of units of a chain of states, each taken by a thread

/// h over the units first, …, last - 1 of a chain; visit(unit, h before it) on the way.
template <class Value, class Address, class Visit>
M3D_DEVICE Value over_units(std::int64_t first, std::int64_t last, Value decay, Value h, Value& time,
                            const Address& address, const Visit& visit) {
  constexpr int ahead = 4;
  for (std::int64_t i = first; i < last; i += ahead) {
    Value states[ahead], times[ahead];
#pragma unroll
    for (int j = 0; j < ahead; ++j) {
      states[j] = i + j < last ? *address(i + j).state : Value(0);
      times[j] = i + j < last ? *address(i + j).time : Value(0);
    }
#pragma unroll
    for (int j = 0; j < ahead; ++j) {
      if (i + j < last) visit(i + j, h);
      h = precise_exp2(decay * times[j]) * h + states[j];
      time += times[j];
    }
  }
  return h;
}

template <class Value>
struct UnitAddress {
  Value* state;
  const Value* time;
};

/// A block: 32 channels of one state of one batch; its rows of threads each take a run of units.
template <class Value>
__global__ void __launch_bounds__(kRows* kWarp) carry_over(Carry<Value> in) {
  const int lane = threadIdx.x % kWarp, row = threadIdx.x / kWarp;
  const std::int64_t channel_blocks = (in.channels + kWarp - 1) / kWarp;
  const std::int64_t chain = blockIdx.x / channel_blocks;
  const std::int64_t channel = blockIdx.x % channel_blocks * kWarp + lane;
  const int state = static_cast<int>(chain % in.states);
  const std::int64_t batch = chain / in.states;
  const std::int64_t reading = channel < in.channels ? channel : in.channels - 1;
  const auto address = [&](std::int64_t i) {
    const std::int64_t unit = batch * in.units + (in.reverse ? in.units - 1 - i : i);
    return UnitAddress<Value>{in.unit_states + (unit * in.states + state) * in.channels + reading,
                              in.unit_times + unit * in.channels + reading};
  };
  const Value decay = in.A[reading * in.states + state] * Value(kLog2E);
  Value* const carry = in.carry + (batch * in.states + state) * in.channels + reading;
  const std::int64_t run = (in.units + kRows - 1) / kRows, first = row * run;
  const std::int64_t last = first + run < in.units ? first + run : in.units;
  Value* const states = shared_memory<Value>();
  Value* const times = states + kRows * kWarp;

  Value time = 0;
  states[threadIdx.x] = over_units(first, last, decay, Value(0), time, address, [](std::int64_t, Value) {});
  times[threadIdx.x] = time;
  Value h = *carry;
  __syncthreads();
  if (channel >= in.channels) return;
  for (int r = 0; r < row; ++r) h = precise_exp2(decay * times[r * kWarp + lane]) * h + states[r * kWarp + lane];
  h = over_units(first, last, decay, h, time, address,
                 [&](std::int64_t i, Value before) { *address(i).state = before; });
  if (first < last && last == in.units) *carry = h;
}

}  // namespace

template <bool reverse, class T>
void run_from_zero(const FromZero<T>& units, cudaStream_t stream) {
  const Layout& layout = units.layout;
  const std::size_t shared = kTile * (layout.row * sizeof(Sums<T>) + sizeof(std::int32_t));
  const Launch how{units.batch * units.segment.units() * layout.channel_blocks, layout.threads(), shared, stream};
  with_forward_block<T>(units.states,
                        [&](auto block) { launch(from_zero<T, decltype(block)::value, reverse>, how, units); });
}

template <class Value>
void run_carry(const Carry<Value>& carry, cudaStream_t stream) {
  const std::int64_t blocks = carry.batch * carry.states * divide_up(carry.channels, kWarp);
  launch(carry_over<Value>, {blocks, kRows * kWarp, 2 * kRows * kWarp * sizeof(Value), stream}, carry);
}

#define M3D_INSTANTIATE(T)                                              \
  template void run_from_zero<false>(const FromZero<T>&, cudaStream_t); \
  template void run_from_zero<true>(const FromZero<T>&, cudaStream_t);
M3D_FOR_EACH_STORAGE(M3D_INSTANTIATE)
template void run_carry(const Carry<float>&, cudaStream_t);
template void run_carry(const Carry<double>&, cudaStream_t);

}  // namespace m3d::selective_scan_cuda
