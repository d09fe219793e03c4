#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/causal_conv1d/causal_conv1d_operators.h"
#include "tests/kernels/cuda_convolution.h"

using namespace m3d;
using namespace m3d::test;

namespace {

struct Conv : ConvolutionTensors {
  Conv(std::int64_t batch, std::int64_t length, std::int64_t channels, std::int64_t width, at::ScalarType type)
      : ConvolutionTensors({batch, length, channels}, {channels, width}, type) {}
  /// y and the gradients of x, weight, bias.
  Tensors run() const {
    const at::Tensor y = causal_conv1d_operators::forward(x, weight, bias, silu);
    const auto [grad_x, grad_weight, grad_bias] = causal_conv1d_operators::backward(grad_y, x, weight, bias, silu);
    return {y, grad_x, grad_weight, grad_bias};
  }
};

double tolerance_of(at::ScalarType type) {
  if (type == at::kDouble) return 1e-13;
  if (type == at::kFloat) return 2e-6;
  return type == at::kHalf ? 1e-3 : 8e-3;
}

}  // namespace

TEST_CASE("causal_conv1d on CUDA: widths, lengths, channels, types", "[cuda][causal_conv1d]") {
  M3D_NEEDS_DEVICE();
  for (const auto type : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf})
    for (std::int64_t width = 1; width <= 8; ++width)
      for (const std::int64_t channels : {1, 20, 268}) {
        const std::int64_t length = channels == 20 ? 300 : 10 + width;
        CAPTURE(type, width, channels, length);
        check_errors(Conv(2, length, channels, width, type), tolerance_of(type));
      }
}

TEST_CASE("causal_conv1d on CUDA: without bias or activation, empty", "[cuda][causal_conv1d]") {
  M3D_NEEDS_DEVICE();
  for (const bool silu : {false, true}) {
    Conv conv(1, 40, 8, 4, at::kFloat);
    conv.bias.reset();
    conv.silu = silu;
    check_errors(conv, 2e-6);
  }
  for (const std::int64_t batch : {0, 1}) {
    const Tensors out = cuda_results(Conv(batch, 1 - batch, 8, 4, at::kFloat));
    CHECK(out[0].numel() == 0);
    CHECK(torch::equal(out[2], torch::zeros({8, 4})));
    CHECK(torch::equal(out[3], torch::zeros({8})));
  }
}

TEST_CASE("causal_conv1d on CUDA: same bits, other streams, tensors that are not contiguous", "[cuda][causal_conv1d]") {
  M3D_NEEDS_DEVICE();
  const Conv conv(2, 600, 24, 4, at::kFloat);
  const Tensors first = check_same_bits(conv);
  const Conv moved = moved_to(conv, device_under_test());
  Conv half = moved, transposed = moved, odd = moved;
  half.x = torch::cat({moved.x, moved.x}, 2).narrow(2, 24, 24);
  transposed.x = moved.x.transpose(1, 2).contiguous().transpose(1, 2);
  odd.x = torch::cat({moved.x, moved.x}, 2).narrow(2, 1, 24);  // not at a multiple of 16 bytes
  with_cuda_kernels([&] {
    CHECK(torch::equal(half.run()[0].cpu(), first[0]));
    CHECK(torch::equal(transposed.run()[0].cpu(), first[0]));
    Conv dense = odd;
    dense.x = odd.x.contiguous();
    CHECK(relative_error(odd.run()[1], dense.run()[1]) < 1e-6);
  });
}
