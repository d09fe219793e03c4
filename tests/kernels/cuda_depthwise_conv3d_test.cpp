#include "kernels/depthwise_conv3d/depthwise_conv3d.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_operators.h"
#include "tests/kernels/cuda_convolution.h"
#include "tests/kernels/multiscale_arguments.h"

using namespace m3d;
using namespace m3d::test;

namespace {

struct Conv : ConvolutionTensors {
  Conv(const Sizes& shape, const Sizes& kernel, at::ScalarType type)
      : ConvolutionTensors(shape, {shape[4], 1, kernel[0], kernel[1], kernel[2]}, type) {}
  /// y and the gradients of x, weight, bias.
  Tensors run() const {
    depthwise_conv3d_operators::OptionalTensors biases;
    biases.push_back(bias);
    const auto [y, before_silu] = depthwise_conv3d_operators::forward(x, {weight}, biases, silu, true);
    const OptionalTensor before = silu ? OptionalTensor(before_silu) : std::nullopt;
    const auto [grad_x, grad_weights, grad_biases] =
        depthwise_conv3d_operators::backward(grad_y.unsqueeze(1), x, {weight}, before);
    return {y.squeeze(1), grad_x, grad_weights[0], grad_biases[0]};
  }
};

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
  for (const Case& c :
       {Case{{1, 1, 1, 1, 1}, {7, 7, 7}}, Case{{2, 5, 3, 9, 20}, {3, 3, 3}}, Case{{1, 3, 10, 17, 33}, {5, 5, 5}},
        Case{{1, 9, 8, 11, 3}, {7, 7, 7}}, Case{{1, 4, 5, 6, 3}, {3, 5, 7}}, Case{{1, 2, 3, 21, 2}, {1, 3, 11}},
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
  const Tensors first = check_same_bits(conv);
  const Conv moved = moved_to(conv, device_under_test());
  Conv strided = moved;
  strided.x = torch::cat({moved.x, moved.x}, 4).narrow(4, 24, 24);
  strided.grad_y = moved.grad_y.permute({0, 4, 1, 2, 3}).contiguous().permute({0, 2, 3, 4, 1});
  with_cuda_kernels([&] {
    const Tensors actual = to_cpu(strided.run());
    for (std::size_t k = 0; k < first.size(); ++k) CHECK(torch::equal(first[k], actual[k]));
  });
}

TEST_CASE("depthwise_conv3d_multiscale on CUDA: k = 3, 5, 7 in any order, other sets, types",
          "[cuda][depthwise_conv3d]") {
  M3D_NEEDS_DEVICE();
  for (const std::vector<Sizes>& kernels : {std::vector<Sizes>{{3, 3, 3}, {5, 5, 5}, {7, 7, 7}},
                                            {{5, 5, 5}, {7, 7, 7}, {3, 3, 3}},
                                            {{5, 5, 5}, {3, 3, 3}},
                                            {{1, 3, 5}, {3, 3, 3}}})
    for (const auto type : {at::kDouble, at::kFloat})
      for (const bool silu : {false, true}) {
        CAPTURE(kernels, type, silu);
        const Multiscale conv({2, 5, 3, 9, 35}, kernels, silu, true);
        Tensors t;
        for (const at::Tensor& tensor : conv.tensors) t.push_back(tensor.to(type));
        Tensors actual;
        with_cuda_kernels([&] {
          actual =
              Multiscale::results([&](const Tensors& leaves) { return conv.call(leaves); }, to_device_under_test(t));
        });
        actual = to_cpu(actual);
        for (at::Tensor& tensor : t) tensor = tensor.to(at::kDouble);
        const Tensors expected = Multiscale::results([&](const Tensors& leaves) { return conv.reference(leaves); }, t);
        for (std::size_t k = 0; k < actual.size(); ++k) {
          CAPTURE(k);
          CHECK(relative_error(actual[k], expected[k]) < tolerance_of(type));
        }
      }
}
