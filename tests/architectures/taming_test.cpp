// Taming Mambas: initialisation, scan orders, what is on the skips, released and paper form.
#include <torch/torch.h>

#include <algorithm>
#include <numeric>

#include "architectures/registry.h"
#include "architectures/taming/taming_blocks.h"
#include "common/error.h"
#include "tests/architectures/mamba_values.h"
#include "tests/architectures/network_facts.h"

using namespace m3d;

namespace {

const NetworkInput kInput{2, 3, {8, 16, 16}};
const std::vector<std::string> kNames{"taming_segmamba", "taming_segmambaskip", "taming_bisegmamba",
                                      "taming_multisegmamba"};

std::shared_ptr<Network> network(const std::string& name, const Json& changes = Json::object(),
                                 const NetworkInput& input = kInput) {
  return reduced_network(name, input, changes);
}

torch::Tensor image() { return torch::randn({1, 2, 8, 16, 16}, torch::make_generator<at::CPUGeneratorImpl>(7)); }

torch::Tensor output_of(const std::string& name, const Json& changes = Json::object()) {
  const auto built = network(name, changes);
  built->eval();
  const torch::NoGradGuard no_grad;
  return built->forward(image())[0];
}

torch::Tensor parameter_of(const torch::nn::Module& module, const std::string& name) {
  return module.named_parameters()[name];
}

}  // namespace

TEST_CASE("Taming Mambas start from He's normal, residual branches from zero, Mamba from its own values", "[taming]") {
  const auto built = network("taming_bisegmamba", {{"features_per_stage", {16, 24, 32}}});
  const auto weights = scaled_moments(*built, [](const std::string&, const torch::Tensor& value) {
    return value.dim() > 3 ? std::sqrt(2 / (1 + 1e-4) / inputs_of_one_output(value)) : 0;
  });
  CHECK(std::abs(weights.mean) < 0.02);
  CHECK(std::abs(weights.deviation - 1) < 0.02);
  check_mamba_values(*built);
  for (const auto& parameter : built->named_parameters()) {
    INFO(parameter.key());
    if (parameter.key().find("conv2.norm") != std::string::npos)
      CHECK(torch::all(parameter.value() == 0).item<bool>());
    else if (ends_with(parameter.key(), "norm.weight"))
      CHECK(torch::all(parameter.value() == 1).item<bool>());
  }
}

TEST_CASE("Taming Mambas read the tokens in one, two or eight orders", "[taming]") {
  const Grid grid{2, 3, 4};
  const auto orders = [&](const std::string& name, const Json& changes = Json::object()) {
    return find_architecture(name).scan_orders(reduced_options(name, changes), grid, 1);
  };
  CHECK(orders("taming_segmamba").size() == 1);
  CHECK(orders("taming_segmambaskip").size() == 2);
  CHECK(orders("taming_segmamba_none").empty());
  const auto released = orders("taming_multisegmamba"),
             paper = orders("taming_multisegmamba", {{"fourth_order", "paper"}});
  REQUIRE(released.size() == 8);
  for (const auto& order : released) {
    auto sorted = order.permutation;
    std::sort(sorted.begin(), sorted.end());
    std::vector<std::int64_t> all(24);
    std::iota(all.begin(), all.end(), 0);
    CHECK(sorted == all);
  }
  const auto start = [](const ScanOrderUse& order) {
    return std::vector<std::int64_t>(order.permutation.begin(), order.permutation.begin() + 3);
  };
  using Tokens = std::vector<std::int64_t>;
  CHECK(start(released[1]) == Tokens{23, 22, 21});  // backwards
  CHECK(start(released[2]) == Tokens{0, 4, 8});     // D, W, H
  CHECK(start(released[4]) == Tokens{0, 1, 2});     // H, D, W
  CHECK(released[4].permutation[4] == 12);
  CHECK(start(released[6]) == Tokens{0, 4, 8});  // W, D, H
  CHECK(released[6].permutation[3] == 12);
  CHECK(start(paper[6]) == Tokens{0, 12, 4});  // W, H, D
}

TEST_CASE("Taming Mambas' options change the result", "[taming]") {
  const Json free_branches = {{"d_state_cap", 8}};
  CHECK_FALSE(
      torch::equal(output_of("taming_multisegmamba"), output_of("taming_multisegmamba", {{"fourth_order", "paper"}})));
  CHECK_FALSE(torch::equal(output_of("taming_multisegmamba"), output_of("taming_multisegmamba", free_branches)));
  CHECK(torch::equal(output_of("taming_segmamba", {{"mixer", "none"}}), output_of("taming_segmamba_none")));
  CHECK(find_architecture("taming_segmamba_none").family == "control");
  const auto wide = network("taming_segmamba", {{"d_state_cap", 256}});
  CHECK(parameter_of(*wide, "encoder.mamba_layers.2.mamba.mamba.A_log").size(1) == 12);  // the stage's width
}

TEST_CASE("SegMambaSkip keeps Mamba out of the encoder's path", "[taming]") {
  // Only the coarsest layer's output is used, of a network whose finer layers are changed.
  const auto coarsest = [](const std::string& name) {
    const auto built = network(name, {{"deep_supervision", true}});
    built->eval();
    const torch::NoGradGuard no_grad;
    const auto before = built->forward_all(image());
    for (auto& parameter : built->named_parameters())
      if (parameter.key().find("mamba_layers.0") != std::string::npos) parameter.value().mul_(2);
    const auto after = built->forward_all(image());
    return torch::equal(before.back(), after.back());
  };
  CHECK(coarsest("taming_segmambaskip"));
  CHECK_FALSE(coarsest("taming_bisegmamba"));
}

TEST_CASE("Taming Mambas train with every block, norm, dropout and dimension", "[taming]") {
  const std::vector<Json> points = {{{"block", "BottleneckD"}, {"bottleneck_channels", {3}}},
                                    {{"norm_op", "BatchNorm"}, {"dropout_op", "Dropout3d"}, {"dropout_p", 0.2}},
                                    {{"stem_channels", 5}, {"nonlin", "GELU"}, {"conv_bias", false}},
                                    {{"conv_op", "Conv2d"}, {"deep_supervision", false}},
                                    {{"mixer", "none"}, {"expand", 1}}};
  for (const auto& point : points)
    for (const auto& name : kNames) {
      INFO(name << " " << point.dump());
      const auto built = network(name, point);
      const auto outputs = built->forward(image());
      CHECK(outputs.size() == (point.contains("deep_supervision") ? 1 : 2));
      CHECK(outputs[0].sizes() == torch::IntArrayRef{1, 3, 8, 16, 16});
      outputs[0].square().mean().backward();
      for (const auto& parameter : built->parameters())
        if (parameter.grad().defined()) CHECK(torch::isfinite(parameter.grad()).all().item<bool>());
    }
}

TEST_CASE("Taming Mambas refuse what cannot be, saying what can", "[taming]") {
  const Json strides = {{"strides", {{1}, {2}, {2}}}};
  CHECK_THROWS_WITH(network("taming_segmamba", strides, {1, 2, {8, 8, 14}}), Catch::Contains("[4,4,4]"));
  CHECK_THROWS_WITH(network("taming_segmamba", {{"block", "BottleneckD"}}), Catch::Contains("bottleneck_channels"));
  CHECK_THROWS_AS(network("taming_segmamba", {{"fourth_order", "dhw"}}), UserError);
}
