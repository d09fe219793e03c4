#include <torch/library.h>

#include "kernels/cuda/operators.h"
#include "tests/kernels/cuda_device.h"

namespace m3d::test {

std::string why_no_device() { return ""; }

at::Device device_under_test() { return at::kCPU; }

/// While it runs, the functions of the CUDA side stand in for those of the CPU; they launch into the emulation.
void with_cuda_kernels(const std::function<void()>& run) {
  torch::Library library(torch::Library::IMPL, "m3d", c10::DispatchKey::CPU, __FILE__, __LINE__);
  cuda::register_selective_scan(library);
  cuda::register_causal_conv1d(library);
  cuda::register_depthwise_conv3d(library);
  run();
}

bool has_streams() { return false; }

void on_other_stream(const std::function<void()>& run) { run(); }

}  // namespace m3d::test
