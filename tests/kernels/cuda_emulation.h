#pragma once
// CUDA's execution model on the CPU, so that the arithmetic, the indices and the barriers of the kernels are tested
// where there is no GPU. A kernel source is compiled as C++ with this file in front. The threads of a block are fibers
// that run one at a time until they wait for the block or for their warp; blocks run one after another. Timing, memory
// spaces and races within a barrier interval are not modelled.
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstring>
#include <functional>

#ifndef M3D_CUDA_EMULATED
#define M3D_CUDA_EMULATED 1
#endif
#undef __global__
#undef __device__
#undef __host__
#undef __forceinline__
#undef __launch_bounds__
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct M3dEmulatedIndex {
  unsigned x = 0;
};
extern M3dEmulatedIndex threadIdx, blockIdx, blockDim, gridDim;

/// Runs `thread` for every thread of every block.
void m3d_emulate(long blocks, int threads, std::size_t shared_bytes, const std::function<void()>& thread);

void* m3d_emulated_shared_memory();
void __syncthreads();
void __syncwarp();
/// The eight bytes that the thread of lane (own lane xor bits) passed.
unsigned long long m3d_emulated_exchange(unsigned long long value, int bits);

template <class Value>
Value __shfl_xor_sync(unsigned, Value value, int bits) {
  unsigned long long raw = 0;
  std::memcpy(&raw, &value, sizeof(Value));
  raw = m3d_emulated_exchange(raw, bits);
  std::memcpy(&value, &raw, sizeof(Value));
  return value;
}
