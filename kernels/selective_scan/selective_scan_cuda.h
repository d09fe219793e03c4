#pragma once
// What the tensor-facing code and the CUDA kernels of the selective scan say to each other: plain pointers and sizes.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/storage_types.h"
#include "kernels/simd/tokens.h"

namespace m3d::selective_scan_cuda {

using cuda::Sums;

/// Tokens between two kept states, and of one unit of work where the channels alone do not fill the device.
template <class T>
inline constexpr int kChunk = std::is_same_v<T, double> ? 16 : 32;

inline constexpr int kMaxStates = 256;

/// One scan of a call. Positions 0, 1, … are those of the scan; its order says which token each position is.
template <class T>
struct Inputs {
  std::int64_t batch, length, channels;
  int states;
  bool delta_softplus;
  Tokens<const T> u, delta, B, C, z;
  const Sums<T>* A;           // [D, N]
  const Sums<T>* D;           // [D] or null
  const Sums<T>* delta_bias;  // [D] or null
  const std::int32_t* order;  // [L], or null for the natural one
  constexpr std::int64_t chunks() const { return (length + kChunk<T> - 1) / kChunk<T>; }
};

/// Positions begin, …, end - 1, cut into units of `unit` positions (a multiple of the chunk) that run independently.
struct Segment {
  std::int64_t begin, end, unit;
  constexpr std::int64_t units() const { return (end - begin + unit - 1) / unit; }
};

/// A [B, L, D] result that the scans of a call add to one after another: `sum` carries it from one to the next.
template <class T>
struct Accumulated {
  T* out = nullptr;        // written by the last scan; null: the result is not wanted
  Sums<T>* sum = nullptr;  // read by all but the first, written by all but the last
  bool first = true, last = true;
};

template <class T>
struct Forward : Inputs<T> {
  Segment segment;
  Sums<T>* unit_states;  // [B, units, N, D] scratch
  Sums<T>* unit_times;   // [B, units, D] scratch: sums of dt
  Sums<T>* carry;        // [B, N, D]: the state before the segment, replaced by the one after it
  Sums<T>* kept;         // [B, chunks, N, D], the states before each chunk, or null
  Accumulated<T> y;
};

template <class T>
struct Backward : Inputs<T> {
  Segment segment;
  Tokens<const T> grad_y;
  const Sums<T>* kept;
  Sums<T>* unit_states;  // [B, units, N, D] scratch: gradients that enter a unit from behind, then its part of grad A
  Sums<T>* unit_times;   // [B, units, D] scratch
  Sums<T>* unit_sums;    // [B, units, 2, D] scratch: parts of the gradients of D and delta_bias
  Sums<T>* carry;        // [B, N, D]: the gradient of the state after the segment, replaced by that before it
  std::int64_t BC_parts_count;
  bool add_to_BC_parts;
  Sums<T>* BC_parts;  // [parts, 2, B, L, N]
  Accumulated<T> grad_u, grad_delta, grad_z;
  Sums<T>* grad_A;  // [N, D], added to
  Sums<T>* grad_D;  // [2, D], of D and of delta_bias, added to
};

/// How a scan of these sizes is cut into segments and units; the same on every device, so that results are, too.
template <class T>
Segment first_segment(std::int64_t batch, std::int64_t length, std::int64_t channels) {
  // From here on the channels alone fill the device: every unit is the whole sequence, and nothing is computed twice.
  constexpr std::int64_t enough_channels = 1 << 16;
  if (batch * channels >= enough_channels) return {0, length, std::max<std::int64_t>(length, 1)};
  // u, delta and y (grad_y) of a segment stay in the second-level cache between the kernels that read them.
  constexpr std::int64_t cached_values = (24 << 20) / (3 * sizeof(T));
  const std::int64_t tokens = cached_values / std::max<std::int64_t>(1, batch * channels);
  const std::int64_t chunks = std::max<std::int64_t>(1, tokens / kChunk<T>);
  return {0, std::min(length, chunks * kChunk<T>), kChunk<T>};
}

/// Parts of the gradients of B and C that the backward of these sizes leaves.
template <class T>
std::int64_t BC_parts_count(std::int64_t channels, std::int64_t states);

template <class T>
void run_forward(const Forward<T>& scan, cudaStream_t stream);

template <class T>
void run_backward(const Backward<T>& scan, cudaStream_t stream);

}  // namespace m3d::selective_scan_cuda
