#include "tests/catch.h"
#include "tests/kernels/multiscale_arguments.h"

using namespace m3d;
using namespace m3d::test;

TEST_CASE("depthwise_conv3d_multiscale: equals the plain form of each scale", "[depthwise_conv3d_multiscale]") {
  for (const bool silu : {false, true})
    for (const std::vector<Sizes>& kernels :
         {std::vector<Sizes>{{3, 3, 3}, {5, 5, 5}, {7, 7, 7}}, {{1, 3, 5}}, {{5, 5, 5}, {3, 3, 3}}}) {
      const Multiscale conv({2, 3, 4, 9, 5}, kernels, silu, kernels.size() == 2);
      const Tensors actual = Multiscale::results([&](const Tensors& t) { return conv.call(t); }, conv.tensors);
      const Tensors expected = Multiscale::results([&](const Tensors& t) { return conv.reference(t); }, conv.tensors);
      for (std::size_t k = 0; k < actual.size(); ++k) {
        CAPTURE(silu, kernels, k);
        CHECK(relative_error(actual[k], expected[k]) < 1e-12);
      }
    }
}

TEST_CASE("depthwise_conv3d_multiscale: the dispatcher sees one call, on meta tensors too",
          "[depthwise_conv3d_multiscale]") {
  for (const auto device : {at::kCPU, at::kMeta})
    for (const bool grad : {false, true}) {
      const at::Tensor x = torch::zeros({1, 2, 3, 4, 5}, device).requires_grad_(grad);
      const Tensors weights{torch::zeros({5, 1, 3, 3, 3}, device), torch::zeros({5, 1, 5, 5, 5}, device)};
      at::AutoGradMode mode(grad);
      const auto names = dispatched([&] {
        CHECK(depthwise_conv3d_multiscale(x, weights, {std::nullopt, std::nullopt}).sizes() == Sizes{1, 2, 2, 3, 4, 5});
      });
      CHECK(std::count(names.begin(), names.end(), "m3d::depthwise_conv3d_multiscale") == 1);
    }
}

TEST_CASE("depthwise_conv3d_multiscale: errors name the argument", "[depthwise_conv3d_multiscale]") {
  using Catch::Matchers::Contains;
  const at::Tensor x = torch::zeros({1, 2, 3, 4, 5}), w = torch::zeros({5, 1, 3, 3, 3});
  CHECK_THROWS_WITH(depthwise_conv3d_multiscale(x, {}, {}), Contains("weights must be 1 to 8 tensors, are 0"));
  CHECK_THROWS_WITH(depthwise_conv3d_multiscale(x, {w}, {}), Contains("biases must be as many as weights (1), are 0"));
  CHECK_THROWS_WITH(depthwise_conv3d_multiscale(x, {torch::zeros({5, 1, 3, 2, 3})}, {std::nullopt}),
                    Contains("weights must have odd kernel sizes"));
  CHECK_THROWS_WITH(depthwise_conv3d_multiscale(x, {w}, {torch::zeros({4})}), Contains("biases must be [C] = [5]"));
}
