#include "tests/kernels/cuda_device.h"

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace m3d::test {

std::string why_no_device() { return torch::cuda::is_available() ? "" : "no CUDA device can be used here"; }

at::Device device_under_test() { return at::kCUDA; }

void with_cuda_kernels(const std::function<void()>& run) {
  run();
  torch::cuda::synchronize();
}

bool has_streams() { return true; }

void on_other_stream(const std::function<void()>& run) {
  torch::cuda::synchronize();
  const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
  const c10::cuda::CUDAStreamGuard guard(stream);
  run();
  stream.synchronize();
}

}  // namespace m3d::test
