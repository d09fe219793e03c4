#pragma once
// What every tensor-facing CUDA function needs: the device of its tensors, its stream, pointers.
#include <ATen/core/Tensor.h>
#ifndef M3D_CUDA_EMULATED
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace m3d::cuda {

/// Makes the device of a tensor current while it lives; work is to go to that device's current stream.
class Call {
 public:
#ifdef M3D_CUDA_EMULATED
  explicit Call(const at::Tensor&) {}
  cudaStream_t stream() const { return nullptr; }
#else
  explicit Call(const at::Tensor& tensor) : guard_(tensor.device()) {}
  cudaStream_t stream() const { return c10::cuda::getCurrentCUDAStream().stream(); }

 private:
  c10::cuda::CUDAGuard guard_;
#endif
};

/// Null for an undefined or empty tensor.
template <class T>
T* pointer_to(const at::Tensor& tensor) {
  return tensor.defined() && tensor.numel() > 0 ? tensor.data_ptr<T>() : nullptr;
}

}  // namespace m3d::cuda
