#pragma once
// What the CUDA tests of the convolutions share.
#include "tests/catch.h"
#include "tests/kernels/cuda_device.h"

namespace m3d::test {

/// The tensors of a convolution: x and grad_y in a storage type, weight and bias in its accumulation type.
struct ConvolutionTensors {
  at::Tensor x, grad_y, weight;
  OptionalTensor bias;
  bool silu = true;

  ConvolutionTensors(at::IntArrayRef shape, at::IntArrayRef weight_shape, at::ScalarType type) {
    const auto sums = type == at::kDouble ? at::kDouble : at::kFloat;
    x = fill("x", shape).to(type);
    grad_y = fill("grad", shape).to(type);
    weight = fill("weight", weight_shape).to(sums);
    bias = fill("bias", {shape.back()}).to(sums);
  }
};

/// All of it on a device, in one type or as it is.
template <class Convolution>
Convolution moved_to(Convolution conv, at::Device device, std::optional<at::ScalarType> type = std::nullopt) {
  for (at::Tensor* tensor : {&conv.x, &conv.grad_y, &conv.weight})
    *tensor = tensor->to(device, type.value_or(tensor->scalar_type()));
  if (conv.bias) conv.bias = conv.bias->to(device, type.value_or(conv.bias->scalar_type()));
  return conv;
}

/// y and the gradients of x, weight and bias, on the CPU. A Convolution has run(), which returns these.
template <class Convolution>
Tensors cuda_results(const Convolution& conv) {
  const Convolution moved = moved_to(conv, device_under_test());
  Tensors out;
  with_cuda_kernels([&] { out = moved.run(); });
  return to_cpu(out);
}

/// Against the CPU's float64 with the same (rounded) arguments.
template <class Convolution>
void check_errors(const Convolution& conv, double tolerance) {
  const Tensors actual = cuda_results(conv), expected = moved_to(conv, at::kCPU, at::kDouble).run();
  for (std::size_t k = 0; k < actual.size(); ++k) {
    CAPTURE(k);
    CHECK(relative_error(actual[k], expected[k]) < tolerance);
  }
}

/// Two calls, and a call on another stream, give the same bits. Returns the results.
template <class Convolution>
Tensors check_same_bits(const Convolution& conv) {
  const Tensors first = cuda_results(conv), second = cuda_results(conv);
  const Convolution moved = moved_to(conv, device_under_test());
  Tensors on_stream;
  on_other_stream([&] { with_cuda_kernels([&] { on_stream = moved.run(); }); });
  on_stream = to_cpu(on_stream);
  for (std::size_t k = 0; k < first.size(); ++k) {
    CHECK(torch::equal(first[k], second[k]));
    CHECK(torch::equal(first[k], on_stream[k]));
  }
  return first;
}

}  // namespace m3d::test
