// SegMamba: initialisation, the tri-orientated scan, the paper's form, bad patches.
#include <torch/torch.h>

#include "architectures/registry.h"
#include "architectures/segmamba/segmamba_blocks.h"
#include "common/error.h"
#include "tests/architectures/mamba_values.h"
#include "tests/architectures/network_facts.h"

using namespace m3d;

namespace {

const NetworkInput kInput{2, 3, {16, 16, 32}};

std::shared_ptr<Network> network(const Json& changes = Json::object(), const NetworkInput& input = kInput) {
  return reduced_network("segmamba", input, changes);
}

torch::Tensor image() { return torch::randn({1, 2, 16, 16, 32}, torch::make_generator<at::CPUGeneratorImpl>(7)); }

torch::Tensor output_of(const Json& changes) {
  const auto built = network(changes);
  built->eval();
  const torch::NoGradGuard no_grad;
  return built->forward(image())[0];
}

}  // namespace

TEST_CASE("SegMamba starts as PyTorch's layers do; of its step sizes only the forward ones are special", "[segmamba]") {
  const auto built = network({{"feat_size", {8, 16, 24, 32}}, {"depths", {2, 1, 1, 1}}});
  const auto weights = scaled_moments(*built, [](const std::string&, const torch::Tensor& value) {
    return value.dim() > 3 ? 1 / std::sqrt(3 * inputs_of_one_output(value)) : 0;
  });
  CHECK(std::abs(weights.mean) < 0.02);
  CHECK(std::abs(weights.deviation - 1) < 0.02);
  check_mamba_values(*built);
  const auto parameters = built->named_parameters();
  const auto biases = [&](const std::string& name) {
    return torch::softplus(parameters["vit.stages.3.0.mamba." + name]);
  };
  CHECK(biases("dt_proj.bias").max().item<double>() < 0.101);
  CHECK(biases("dt_proj_b.bias").min().item<double>() > 0.101);
  CHECK(biases("dt_proj_s.bias").min().item<double>() > 0.101);
}

TEST_CASE("SegMamba reads the tokens forwards, backwards and across slices", "[segmamba]") {
  const Architecture& architecture = find_architecture("segmamba");
  const auto orders =
      architecture.scan_orders(reduced_options("segmamba", {{"num_slices", {3, 4, 2, 2}}}), {1, 3, 4}, 1);
  using Tokens = std::vector<std::int64_t>;
  REQUIRE(orders.size() == 3);
  CHECK(orders[0].permutation == Tokens{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  CHECK(orders[1].permutation == Tokens{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0});
  CHECK(orders[2].permutation == Tokens{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
  CHECK(architecture.scan_orders(reduced_options("segmamba", {{"tom", "forward"}}), {1, 3, 4}, 1).size() == 1);
  CHECK(architecture.scan_orders(reduced_options("segmamba", {{"mixer", "none"}}), {1, 3, 4}, 1).empty());
}

TEST_CASE("SegMamba's points run, train and differ", "[segmamba]") {
  const std::vector<Json> points = {{{"tom", "forward"}},
                                    {{"tom", "none"}},
                                    {{"gsc", "paper"}},
                                    {{"gsc", "none"}},
                                    {{"gsc_place", "layer"}, {"depths", {2, 1, 2, 1}}},
                                    {{"mlp", "layer"}},
                                    {{"fue", true}},
                                    {{"num_slices", {8, 2, 4, 1}}},
                                    {{"res_block", false}},
                                    {{"norm_name", "batch"}},
                                    {{"gsc", "paper"}, {"gsc_place", "layer"}, {"mlp", "layer"}, {"fue", true}}};
  const auto released = output_of(Json::object());
  for (const auto& point : points) {
    INFO(point.dump());
    CHECK_FALSE(torch::equal(output_of(point), released));
    const auto built = network(point);
    const auto outputs = built->forward(image());
    REQUIRE(outputs.size() == 1);
    CHECK(outputs[0].sizes() == torch::IntArrayRef{1, 3, 16, 16, 32});
    outputs[0].square().mean().backward();
    for (const auto& parameter : built->named_parameters()) {
      INFO(parameter.key());
      CHECK((parameter.value().grad().defined() && torch::isfinite(parameter.value().grad()).all().item<bool>()));
    }
  }
  CHECK(torch::equal(output_of({{"tom", "none"}}), output_of({{"mixer", "none"}})));
}

TEST_CASE("certainty raises features whose channels agree and is finite where they vanish", "[segmamba]") {
  const auto features = torch::tensor({-60.0, 0.0, 1.0, 60.0}).reshape({1, 1, 1, 1, 4});
  const auto v = torch::sigmoid(features), u = -v * torch::log(v);
  const auto weighted = weighted_by_certainty(features);
  CHECK(torch::allclose(weighted, features + features * (1 - u)));
  CHECK(torch::isfinite(weighted_by_certainty(features.to(torch::kBFloat16) * 4)).all().item<bool>());
}

TEST_CASE("SegMamba refuses patches that cannot be, saying which can", "[segmamba]") {
  CHECK_THROWS_WITH(network(Json::object(), {1, 2, {16, 16, 24}}), Catch::Contains("multiples of 16"));
  CHECK_THROWS_WITH(network({{"num_slices", {64, 32, 16, 8}}}), Catch::Contains("multiple of 32768"));
  CHECK_THROWS_WITH(network({{"mixer", "none"}}, {1, 2, {16, 16, 16}}), Catch::Contains("more than one voxel"));
  CHECK_NOTHROW(network({{"mixer", "none"}, {"num_slices", {64, 32, 16, 8}}}));
  CHECK_THROWS_WITH(network({{"depths", {1, 1}}}), Catch::Contains("4 values"));
  CHECK_THROWS_AS(network({{"gsc", "product"}}), UserError);
}
