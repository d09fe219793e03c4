#include "kernels/selective_scan/selective_scan.h"

#include <torch/torch.h>

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d.h"
#include "tests/catch.h"

TEST_CASE("operators exist") {
  const auto x = torch::rand({2, 5, 3}, torch::requires_grad());
  m3d::selective_scan(x, x, -torch::rand({3, 4}), torch::rand({2, 5, 4}), torch::rand({2, 5, 4})).sum().backward();
  CHECK(m3d::causal_conv1d(x, torch::rand({3, 4}), std::nullopt, true).sizes() == x.sizes());
  const auto v = torch::rand({1, 4, 5, 6, 3});
  const auto w = torch::rand({3, 1, 3, 3, 3});
  const auto expected = torch::conv3d(v.permute({0, 4, 1, 2, 3}), w, {}, 1, 1, 1, 3).permute({0, 2, 3, 4, 1});
  CHECK(torch::allclose(m3d::depthwise_conv3d(v, w), expected, 1e-5, 1e-6));
}
