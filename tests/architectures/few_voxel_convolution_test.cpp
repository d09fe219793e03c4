#include "architectures/few_voxel_convolution.h"

#include <torch/torch.h>

#include <array>
#include <vector>

#include "tests/catch.h"

using namespace m3d;

namespace {

using torch::Tensor;

struct Form {
  std::vector<std::int64_t> image, kernel, stride, padding;
  bool channels_last;
};

double difference(const Tensor& found, const Tensor& expected) {
  REQUIRE(found.sizes() == expected.sizes());
  return ((found - expected).abs().max() / expected.abs().max()).item<double>();
}

}  // namespace

TEST_CASE("convolutions of few voxels as products equal LibTorch's in float64, with their gradients") {
  torch::manual_seed(6);
  const auto form = GENERATE(Form{{1, 8, 4, 4, 4}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, true},
                             Form{{1, 8, 4, 4, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, false},
                             Form{{2, 5, 3, 6, 5}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, true},
                             Form{{2, 5, 3, 6, 5}, {3, 1, 5}, {2, 1, 3}, {1, 0, 2}, false},
                             Form{{1, 7, 2, 2, 2}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, true},
                             Form{{1, 3, 4, 5, 6}, {4, 5, 6}, {1, 1, 1}, {0, 0, 0}, true});
  const auto format = form.channels_last ? torch::MemoryFormat::ChannelsLast3d : torch::MemoryFormat::Contiguous;
  const Tensor image = torch::randn(form.image).contiguous(format), bias = torch::randn({9});
  const Tensor weight = torch::randn({9, form.image[1], form.kernel[0], form.kernel[1], form.kernel[2]});
  std::vector<Tensor> exact;
  for (const Tensor& tensor : {image, weight, bias}) exact.push_back(tensor.to(torch::kDouble).requires_grad_());
  const Tensor expected = torch::conv3d(exact[0], exact[1], exact[2], form.stride, form.padding);

  const Tensor found = few_voxel_convolution(image, weight, bias, form.stride, form.padding);
  CHECK(found.is_contiguous(format));
  CHECK(difference(found, expected) < 1e-5);
  CHECK(difference(few_voxel_convolution(image, weight, {}, form.stride, form.padding) + bias.view({1, -1, 1, 1, 1}),
                   expected) < 1e-5);

  const Tensor slope = torch::randn(expected.sizes()).contiguous(format);
  expected.backward(slope.to(torch::kDouble));
  const auto [grad_image, grad_weight, grad_bias] =
      few_voxel_convolution_backward(slope, image, weight, form.stride, form.padding, {true, true, true});
  CHECK(difference(grad_image, exact[0].grad()) < 1e-5);
  CHECK(difference(grad_weight, exact[1].grad()) < 1e-5);
  CHECK(difference(grad_bias, exact[2].grad()) < 1e-5);
  CHECK(grad_weight.is_contiguous());
  const auto [no_image, only_weight, no_bias] =
      few_voxel_convolution_backward(slope, image, weight, form.stride, form.padding, {false, true, false});
  CHECK_FALSE(no_image.defined());
  CHECK_FALSE(no_bias.defined());
  CHECK(torch::equal(only_weight, grad_weight));
}

TEST_CASE("a convolution is a product where its weight is larger than what it reads") {
  const Tensor weight = torch::randn({320, 4, 3, 3, 3});
  CHECK(weight_outweighs_windows(weight, 64));
  CHECK_FALSE(weight_outweighs_windows(weight, 512));
  CHECK_FALSE(weight_outweighs_windows(torch::randn({320, 4, 3, 3}), 64));
}
