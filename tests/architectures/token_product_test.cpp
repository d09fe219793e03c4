#include "architectures/blocks/token_product.h"

#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include "architectures/onednn_kernels.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

using torch::Tensor;

/// Two pieces, used differently, or of the second alone the first's gradient is missing.
Tensor used(const std::vector<Tensor>& pieces, bool both) {
  return both ? pieces[0].square().sum() + pieces[1].sin().sum() : pieces[1].sin().sum();
}

}  // namespace

TEST_CASE("pieces of a product of tokens equal the linear layer's, with their gradients", "[token_product]") {
  register_onednn_kernels();
  torch::manual_seed(5);
  const auto type = GENERATE(torch::kFloat, torch::kDouble);
  const auto both = GENERATE(true, false);
  const auto channels = GENERATE(3, 40);  // a weight of few columns gets its gradient turned
  const std::vector<std::int64_t> sizes{48, 64};
  const Tensor weight = torch::randn({112, channels}, torch::kDouble);
  const Tensor wide = torch::randn({2, 600, channels + 5}, torch::kDouble);
  const auto gradients = [&](torch::ScalarType dtype, bool ours) {
    const Tensor x = wide.to(dtype).requires_grad_(), w = weight.to(dtype).requires_grad_();
    const Tensor tokens = x.narrow(2, 1, channels);  // part of a wider one, as the step of a scan is
    const auto pieces = ours ? token_products(tokens, w, sizes) : torch::linear(tokens, w).split_with_sizes(sizes, 2);
    if (ours) CHECK((pieces[0].is_contiguous() && pieces[1].is_contiguous()));
    used(pieces, both).backward();
    return std::vector<Tensor>{pieces[0].detach(), pieces[1].detach(), x.grad(), w.grad()};
  };
  const auto found = gradients(type, true), expected = gradients(torch::kDouble, false);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    REQUIRE(found[i].sizes() == expected[i].sizes());
    const auto difference = (found[i] - expected[i]).abs().max() / expected[i].abs().max();
    CHECK(difference.item<double>() < (type == torch::kFloat ? 1e-5 : 1e-13));
  }
}

TEST_CASE("a product of tokens follows autocast", "[token_product]") {
  const Tensor x = torch::randn({1, 4, 8}), weight = torch::randn({6, 8});
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const auto type = token_product(x, weight).scalar_type();
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  CHECK(type == torch::kBFloat16);
  CHECK(token_product(x, weight).scalar_type() == torch::kFloat);
}
