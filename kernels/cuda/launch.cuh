#pragma once
// How kernels are launched: on the caller's stream, one-dimensional grids, checked.
#include <c10/cuda/CUDAException.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <limits>

namespace m3d::cuda {

inline std::int64_t divide_up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

/// Shared memory that a thread block may have on the current device, in bytes: 163 KiB on sm_80, 227 on sm_90, 99 on
/// sm_86 and sm_89, which run sm_80's code.
inline std::size_t most_shared_bytes() {
#ifdef M3D_CUDA_EMULATED
  return std::size_t{163} << 10;
#else
  int device = 0, bytes = 0;
  C10_CUDA_CHECK(cudaGetDevice(&device));
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return static_cast<std::size_t>(bytes);
#endif
}

struct Launch {
  std::int64_t blocks;
  int threads;
  std::size_t shared_bytes;
  cudaStream_t stream;
};

/// Runs kernel(arguments) in `how.blocks` blocks. None: does nothing.
template <class Arguments>
void launch(void (*kernel)(Arguments), const Launch& how, Arguments arguments) {
  if (how.blocks == 0) return;
  TORCH_CHECK(how.blocks <= std::numeric_limits<std::int32_t>::max(), "a CUDA kernel of ", how.blocks,
              " blocks: the tensors are too large for one call");
#ifdef M3D_CUDA_EMULATED
  m3d_emulate(how.blocks, how.threads, how.shared_bytes, [&] { kernel(arguments); });
#else
  constexpr std::size_t without_asking = 48 * 1024;
  if (how.shared_bytes > without_asking)
    C10_CUDA_CHECK(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                        cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        static_cast<int>(how.shared_bytes)));
  void* pointers[] = {&arguments};
  C10_CUDA_CHECK(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(static_cast<unsigned>(how.blocks)),
                                  dim3(static_cast<unsigned>(how.threads)), pointers, how.shared_bytes, how.stream));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
#endif
}

}  // namespace m3d::cuda
