#pragma once
// What the tensor-facing code and the CUDA kernels of the causal convolution say to each other.
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/causal_conv1d/causal_conv1d_loops.h"
#include "kernels/cuda/storage_types.h"
#include "kernels/simd/tokens.h"

namespace m3d::causal_conv1d_cuda {

using causal_conv1d_loops::kMaxWidth;
using cuda::Sums;

template <class T>
struct Inputs {
  std::int64_t batch, length, channels;
  int width;
  bool silu;
  Tokens<const T> x;
  const Sums<T>* weight;  // [width, C]
  const Sums<T>* bias;    // [C] or null
};

template <class T>
struct Forward : Inputs<T> {
  Tokens<T> y;
};

template <class T>
struct Backward : Inputs<T> {
  Tokens<const T> grad_y;
  Tokens<T> grad_x;
  Sums<T>* parts;  // [parts_count, width + 1, C]: of the weight, then of the bias
};

/// Parts of the gradients of weight and bias that a backward of these sizes leaves.
template <class T>
std::int64_t parts_count(const Backward<T>& in);

template <class T>
void run_forward(const Forward<T>& conv, cudaStream_t stream);

template <class T>
void run_backward(const Backward<T>& conv, cudaStream_t stream);

}  // namespace m3d::causal_conv1d_cuda
