#include "architectures/blocks/linear_interpolation.h"

#include "tests/catch.h"

using namespace m3d;

namespace {

const auto kDouble = torch::dtype(torch::kFloat64);

torch::Tensor random(at::IntArrayRef sizes, std::uint64_t seed) {
  torch::manual_seed(seed);
  return torch::randn(sizes, kDouble);
}

double difference(const torch::Tensor& a, const torch::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return (a - b).abs().max().item<double>();
}

/// Gradients of a weighted sum of what `function` makes of `inputs`.
template <class Function>
std::vector<torch::Tensor> gradients(const Function& function, const std::vector<torch::Tensor>& inputs) {
  std::vector<torch::Tensor> leaves;
  for (const auto& input : inputs) leaves.push_back(input.detach().clone().requires_grad_());
  const auto out = function(leaves);
  return torch::autograd::grad({(out * random(out.sizes(), 5)).sum()}, leaves);
}

}  // namespace

TEST_CASE("resizing by products gives PyTorch's values and gradients") {
  const bool corners = GENERATE(false, true);
  const std::vector<std::int64_t> size =
      GENERATE(std::vector<std::int64_t>{8, 6, 14}, std::vector<std::int64_t>{5, 5, 3},
               std::vector<std::int64_t>{1, 2, 9}, std::vector<std::int64_t>{4, 3, 7});
  CAPTURE(corners, size);
  const auto x = random({2, 3, 4, 3, 7}, 1);
  const auto ours = [&](const auto& in) { return resized_linear_by_products(in[0], size, corners); };
  const auto theirs = [&](const auto& in) { return torch::upsample_trilinear3d(in[0], size, corners); };
  CHECK(difference(ours(std::vector{x}), theirs(std::vector{x})) < 1e-12);
  CHECK(difference(gradients(ours, {x})[0], gradients(theirs, {x})[0]) < 1e-12);
  const auto slice = x.select(2, 0);
  const std::vector<std::int64_t> flat = {size[1], size[2]};
  CHECK(difference(resized_linear_by_products(slice, flat, corners), torch::upsample_bilinear2d(slice, flat, corners)) <
        1e-12);
  CHECK(torch::equal(resized_linear(x, size, corners), torch::upsample_trilinear3d(x, size, corners)));
  CHECK(torch::equal(resized_linear(slice, flat, corners), torch::upsample_bilinear2d(slice, flat, corners)));
}

TEST_CASE("resizing many channels gives the values and gradients of resizing them one by one") {
  const bool corners = GENERATE(false, true);
  const auto x = random({2, 17, 4, 3, 7}, 6);
  const std::vector<std::int64_t> size = {8, 6, 9}, flat = {6, 9};
  const auto together = [&](const auto& in) { return resized_linear(in[0], size, corners); };
  const auto one_by_one = [&](const auto& in) {
    std::vector<torch::Tensor> parts;
    for (const auto& channel : in[0].split(1, 1)) parts.push_back(resized_linear(channel, size, corners));
    return torch::cat(parts, 1);
  };
  CHECK(difference(together(std::vector{x}), one_by_one(std::vector{x})) < 1e-14);
  CHECK(difference(gradients(together, {x})[0], gradients(one_by_one, {x})[0]) < 1e-14);
  const auto slice = x.select(2, 0);
  CHECK(difference(resized_linear(slice, flat, corners), torch::upsample_bilinear2d(slice, flat, corners)) < 1e-14);
}

TEST_CASE("resizing by products keeps its precision under autocast and its type without") {
  const auto x = random({1, 2, 3, 4, 5}, 2).to(torch::kBFloat16);
  const auto resized = resized_linear_by_products(x, {6, 8, 10}, false);
  CHECK(resized.scalar_type() == torch::kBFloat16);
  const auto exact = torch::upsample_trilinear3d(x.to(torch::kFloat64), {6, 8, 10}, false);
  CHECK(difference(resized.to(torch::kFloat64), exact) < 0.02);
}

TEST_CASE("sampling by gathers gives PyTorch's values and gradients, outside and at the faces too") {
  const auto volumes = random({2, 3, 4, 5, 6}, 3);
  auto places = random({2, 7, 4, 3}, 4) * 0.8;
  places[0][0][0].fill_(1.0), places[0][1][0].fill_(-1.0), places[1][0][0].fill_(3.0);
  const auto ours = [](const auto& in) { return sampled_linear_by_gathers(in[0], in[1]); };
  const auto theirs = [](const auto& in) {
    return torch::grid_sampler(in[0], in[1].unsqueeze(1), 0, 0, false).squeeze(2);
  };
  CHECK(difference(ours(std::vector{volumes, places}), theirs(std::vector{volumes, places})) < 1e-12);
  const auto mine = gradients(ours, {volumes, places}), reference = gradients(theirs, {volumes, places});
  CHECK(difference(mine[0], reference[0]) < 1e-12);
  CHECK(difference(mine[1], reference[1]) < 1e-11);
  CHECK(torch::equal(sampled_linear(volumes, places), theirs(std::vector{volumes, places})));
}
