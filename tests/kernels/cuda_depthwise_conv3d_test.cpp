#include "kernels/depthwise_conv3d/depthwise_conv3d.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_operators.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_device.h"

using namespace m3d;
using namespace m3d::test;

namespace {

using Sizes = std::vector<std::int64_t>;

/// x, grad_y [B, D, H, W, C] in `type`; weight and bias in the accumulation type.
struct Conv {
  at::Tensor x, grad_y, weight;
  OptionalTensor bias;
  bool silu = true;

  Conv(const Sizes& shape, const Sizes& kernel, at::ScalarType type) {
    const auto sums = type == at::kDouble ? at::kDouble : at::kFloat;
    x = fill("x", shape).to(type);
    grad_y = fill("grad", shape).to(type);
    weight = fill("weight", {shape[4], 1, kernel[0], kernel[1], kernel[2]}).to(sums);
    bias = fill("bias", {shape[4]}).to(sums);
  }
  Conv to(at::Device device, std::optional<at::ScalarType> type = std::nullopt) const {
    Conv moved = *this;
    for (at::Tensor* tensor : {&moved.x, &moved.grad_y, &moved.weight})
      *tensor = tensor->to(device, type.value_or(tensor->scalar_type()));
    if (bias) moved.bias = bias->to(device, type.value_or(bias->scalar_type()));
    return moved;
  }
  /// y and the gradients of x, weight, bias.
  Tensors run() const {
    const auto [y, before_silu] = depthwise_conv3d_operators::forward(x, weight, bias, silu, true);
    const OptionalTensor before = silu ? OptionalTensor(before_silu) : std::nullopt;
    const auto [grad_x, grad_weight, grad_bias] = depthwise_conv3d_operators::backward(grad_y, x, weight, before);
    return {y, grad_x, grad_weight, grad_bias};
  }
};

Tensors cuda_results(const Conv& conv) {
  const Conv moved = conv.to(device_under_test());
  Tensors out;
  with_cuda_kernels([&] { out = moved.run(); });
  return to_cpu(out);
}

void check_errors(const Conv& conv, double tolerance) {
  const Tensors actual = cuda_results(conv), expected = conv.to(at::kCPU, at::kDouble).run();
  for (std::size_t k = 0; k < actual.size(); ++k) {
    CAPTURE(k);
    CHECK(relative_error(actual[k], expected[k]) < tolerance);
  }
}

double tolerance_of(at::ScalarType type) {
  if (type == at::kDouble) return 1e-12;
  if (type == at::kFloat) return 4e-6;
  return type == at::kHalf ? 4e-3 : 3e-2;
}

}  // namespace

TEST_CASE("depthwise_conv3d on CUDA: shapes, kernels, types", "[cuda][depthwise_conv3d]") {
  M3D_NEEDS_DEVICE();
  struct Case {
    Sizes shape, kernel;
  };
  for (const Case& c : {Case{{1, 1, 1, 1, 1}, {7, 7, 7}}, Case{{2, 5, 3, 9, 20}, {3, 3, 3}},
                        Case{{1, 3, 10, 17, 33}, {5, 5, 5}}, Case{{1, 9, 8, 11, 3}, {7, 7, 7}},
                        Case{{1, 4, 5, 6, 3}, {3, 5, 7}}, Case{{1, 2, 3, 21, 2}, {1, 3, 11}},
                        Case{{1, 2, 5, 9, 4}, {1, 1, 1}}})
    for (const auto type : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf}) {
      CAPTURE(c.shape, c.kernel, type);
      check_errors(Conv(c.shape, c.kernel, type), tolerance_of(type));
    }
}

TEST_CASE("depthwise_conv3d on CUDA: blocks of several planes", "[cuda][depthwise_conv3d]") {
  M3D_NEEDS_DEVICE();
  for (const std::int64_t k : {3, 5, 7}) {
    Conv conv({1, 5, 9, 2100, 33}, {k, k, k}, at::kFloat);
    if (!has_streams()) conv = Conv({3, 5, 3, 700, 33}, {k, k, k}, at::kFloat);
    CAPTURE(k);
    check_errors(conv, 4e-6);
  }
}

TEST_CASE("depthwise_conv3d on CUDA: without bias or activation, empty", "[cuda][depthwise_conv3d]") {
  M3D_NEEDS_DEVICE();
  for (const bool silu : {false, true}) {
    Conv conv({1, 3, 4, 5, 6}, {3, 3, 3}, at::kFloat);
    conv.bias.reset();
    conv.silu = silu;
    check_errors(conv, 4e-6);
  }
  for (const Sizes& shape : {Sizes{0, 2, 3, 4, 5}, Sizes{1, 2, 0, 4, 5}}) {
    const Tensors out = cuda_results(Conv(shape, {3, 3, 3}, at::kFloat));
    CHECK(out[0].sizes() == shape);
    CHECK(torch::equal(out[2], torch::zeros({5, 1, 3, 3, 3})));
  }
}

TEST_CASE("depthwise_conv3d on CUDA: same bits, other streams, tensors that are not contiguous",
          "[cuda][depthwise_conv3d]") {
  M3D_NEEDS_DEVICE();
  const Conv conv({2, 6, 7, 9, 24}, {5, 5, 5}, at::kFloat);
  const Tensors first = cuda_results(conv), second = cuda_results(conv);
  const Conv moved = conv.to(device_under_test());
  Tensors on_stream;
  on_other_stream([&] { with_cuda_kernels([&] { on_stream = to_cpu(moved.run()); }); });
  for (std::size_t k = 0; k < first.size(); ++k) {
    CHECK(torch::equal(first[k], second[k]));
    CHECK(torch::equal(first[k], on_stream[k]));
  }
  Conv strided = moved;
  strided.x = torch::cat({moved.x, moved.x}, 4).narrow(4, 24, 24);
  strided.grad_y = moved.grad_y.permute({0, 4, 1, 2, 3}).contiguous().permute({0, 2, 3, 4, 1});
  with_cuda_kernels([&] {
    const Tensors actual = to_cpu(strided.run());
    for (std::size_t k = 0; k < first.size(); ++k) CHECK(torch::equal(first[k], actual[k]));
  });
}
