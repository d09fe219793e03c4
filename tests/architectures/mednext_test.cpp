// MedNeXt: sizes, initialisation, checkpointing, deep supervision, bad options.
#include <torch/torch.h>

#include "architectures/macs.h"
#include "architectures/registry.h"
#include "common/error.h"
#include "tests/architectures/initial_values.h"
#include "tests/architectures/network_facts.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

const NetworkInput kInput{2, 3, {16, 16, 32}};

std::shared_ptr<Network> network(const Json& changes, const NetworkInput& input = kInput) {
  return reduced_network("mednext_k3", input, changes);
}

std::vector<torch::Tensor> gradients(const Json& changes) {
  const auto built = network(changes);
  built->to(torch::kFloat64);  // the bottleneck normalises two voxels, which makes single precision coarse
  const auto image = torch::randn({1, 2, 16, 16, 32}, torch::make_generator<at::CPUGeneratorImpl>(7));
  torch::Tensor loss = torch::zeros({});
  for (const auto& output : built->forward(image.to(torch::kFloat64))) loss = loss + output.square().mean();
  loss.backward();
  std::vector<torch::Tensor> all;
  for (const auto& parameter : built->parameters())
    if (parameter.grad().defined()) all.push_back(parameter.grad());
  return all;
}

}  // namespace

TEST_CASE("MedNeXt's sizes have the published numbers of parameters", "[mednext]") {
  const auto millions = [](const char* name, const char* size) {
    return static_cast<double>(count_parameters(find_architecture(name), {1, 14, {128, 128, 128}}, {{"size", size}})) /
           1e6;
  };
  CHECK(millions("mednext_k3", "S") == Approx(5.6).margin(0.05));
  CHECK(millions("mednext_k3", "B") == Approx(10.5).margin(0.05));
  CHECK(millions("mednext_k3", "M") == Approx(17.6).margin(0.05));
  CHECK(millions("mednext_k3", "L") == Approx(61.8).margin(0.05));
  CHECK(millions("mednext_k5", "S") == Approx(5.9).margin(0.1));  // printed cut, not rounded
  CHECK(millions("mednext_k5", "B") == Approx(11.0).margin(0.05));
  CHECK(millions("mednext_k5", "M") == Approx(18.3).margin(0.05));
  CHECK(millions("mednext_k5", "L") == Approx(63.0).margin(0.05));
}

TEST_CASE("MedNeXt starts from PyTorch's defaults, response norms as the identity", "[mednext]") {
  const auto built = network({{"n_channels", 8}, {"grn", true}});
  const auto weights = scaled_moments(*built, [](const std::string& name, const torch::Tensor& value) {
    return value.dim() > 1 && name.find("grn") == std::string::npos ? 1 / std::sqrt(3 * inputs_of_one_output(value))
                                                                    : 0;
  });
  CHECK(weights.count > 50000);
  CHECK(std::abs(weights.mean) < 0.02);
  CHECK(std::abs(weights.deviation - 1) < 0.02);
  for (const auto& parameter : built->named_parameters()) {
    INFO(parameter.key());
    if (parameter.key().find("grn") != std::string::npos) CHECK(parameter.value().count_nonzero().item<int>() == 0);
    if (ends_with(parameter.key(), "norm.weight")) CHECK(torch::all(parameter.value() == 1).item<bool>());
  }
}

TEST_CASE("checkpointing changes the order of a gradient's sum at most", "[mednext]") {
  for (const bool grn : {false, true}) {
    const auto plain = gradients({{"grn", grn}});
    const auto again = gradients({{"grn", grn}, {"checkpoint_style", "outside_block"}});
    REQUIRE(plain.size() == again.size());
    for (std::size_t i = 0; i < plain.size(); ++i) CHECK(torch::allclose(plain[i], again[i], 1e-8, 1e-12));
  }
}

TEST_CASE("MedNeXt's deep supervision has five outputs, or one and no other heads", "[mednext]") {
  const auto image = torch::ones({1, 2, 16, 16, 32});
  CHECK(network(Json::object())->forward(image).size() == 5);
  const auto single = network({{"deep_supervision", false}});
  CHECK(single->forward(image).size() == 1);
  CHECK(single->forward_all(image).size() == 1);
  CHECK(!single->named_parameters().contains("out_1.conv_out.weight"));
  const auto slices = network({{"dim", "2d"}, {"grn", true}, {"norm_type", "layer"}}, {2, 3, {3, 16, 32}});
  CHECK(slices->forward(torch::ones({1, 2, 3, 16, 32}))[4].sizes() == torch::IntArrayRef{1, 3, 3, 1, 2});
}

TEST_CASE("MedNeXt refuses patches and options that cannot be, saying what can", "[mednext]") {
  CHECK_THROWS_WITH(network(Json::object(), {1, 2, {16, 24, 32}}), Catch::Contains("[16,16,16]"));
  CHECK_THROWS_WITH(network(Json::object(), {1, 2, {16, 16, 16}}), Catch::Contains("more than one voxel"));
  CHECK_THROWS_WITH(network({{"kernel_size", 4}}), Catch::Contains("odd"));
  CHECK_THROWS_WITH(network({{"kernel_size", 0}}), Catch::Contains("enc_kernel_size"));
  CHECK_THROWS_WITH(network({{"exp_r", {2, 3}}}), Catch::Contains("9 values"));
  CHECK_THROWS_AS(network({{"size", "XL"}}), UserError);
  CHECK_THROWS_AS(network({{"norm_type", "batch"}}), UserError);
}
