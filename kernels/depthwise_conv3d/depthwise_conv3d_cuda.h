#pragma once
// What the tensor-facing code and the CUDA kernels of the depthwise 3D convolution say to each other. A call has one or
// several scales: convolutions of the same x with kernels of their own sizes.
#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>

#include "kernels/cuda/storage_types.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_loops.h"

namespace m3d::depthwise_conv3d_cuda {

using cuda::Sums;
using depthwise_conv3d_loops::kMaxScales;

/// A [B, D, H, W, C] tensor whose last dimension is dense. Null data: the tensor is absent.
template <class T>
struct Volume {
  T* data = nullptr;
  std::int64_t batch = 0, depth = 0, height = 0, width = 0;  // strides
};

struct Geometry {
  std::int64_t batch, depth, height, width, channels;
  constexpr std::int64_t rows() const { return batch * depth * height; }
};

/// What a kernel is applied to: x, or, in the backward, grad_y * silu'(before_silu).
template <class T>
struct Source {
  Volume<const T> values, before_silu;
  const Sums<T>* weight = nullptr;  // [kd * kh * kw, C]
  std::array<int, 3> kernel{};      // kd, kh, kw
};

/// A result: silu(sum + bias) if `silu`, contiguous but for the batches.
template <class T>
struct Target {
  T* out = nullptr;
  T* before_silu = nullptr;  // or null
  std::int64_t batch_stride = 0;
  const Sums<T>* bias = nullptr;  // [C] or null
};

/// Correlations of the scales, each to its target; or, if `sum`, added up and written to the first target.
template <class T>
struct Correlation : Geometry {
  int scales = 0;
  bool sum = false, silu = false;
  std::array<Source<T>, kMaxScales> sources{};
  std::array<Target<T>, kMaxScales> targets{};
};

template <class T>
void run_correlation(const Correlation<T>& correlation, cudaStream_t stream);

/// The gradients of one scale's weight and bias.
template <class T>
struct WeightGradient : Geometry {
  Volume<const T> x, grad_y, before_silu;
  std::array<int, 3> kernel{};
  std::int64_t parts_count = 0;
  Sums<T>* parts = nullptr;  // [parts_count, taps + 1, C]: of the weight, then of the bias
  constexpr int taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

/// Parts that a weight gradient of these sizes leaves.
std::int64_t weight_parts_count(const Geometry& geometry);

template <class T>
void run_weight_gradient(const WeightGradient<T>& gradient, cudaStream_t stream);

}  // namespace m3d::depthwise_conv3d_cuda
