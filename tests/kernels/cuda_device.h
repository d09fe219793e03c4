#pragma once
// The device that the tests of the CUDA kernels run on: a GPU, or the emulation of one on CPU tensors.
#include <functional>

#include "tests/kernels/gradcheck.h"

namespace m3d::test {

/// Why the tests cannot run here; empty: they can.
std::string why_no_device();

/// Where the tensors of a call must be.
at::Device device_under_test();

/// Runs `run` with the CUDA kernels in charge of tensors on device_under_test(), and waits for them.
void with_cuda_kernels(const std::function<void()>& run);

/// Whether work can be on several streams.
bool has_streams();

/// Runs `run` on another stream than the default one, and waits for it.
void on_other_stream(const std::function<void()>& run);

inline Tensors to_device_under_test(Tensors tensors) {
  for (at::Tensor& tensor : tensors) tensor = tensor.to(device_under_test());
  return tensors;
}

inline Tensors to_cpu(Tensors tensors) {
  for (at::Tensor& tensor : tensors) tensor = tensor.to(at::kCPU);
  return tensors;
}

/// Ends the test with a warning where there is no device.
#define M3D_NEEDS_DEVICE()                           \
  if (!m3d::test::why_no_device().empty()) {         \
    WARN("skipped: " << m3d::test::why_no_device()); \
    return;                                          \
  }

}  // namespace m3d::test
