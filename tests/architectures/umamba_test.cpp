// U-Mamba: initialisation, where Mamba sits, deep supervision, bad patches.
#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include "architectures/macs.h"
#include "architectures/registry.h"
#include "common/error.h"
#include "tests/architectures/mamba_values.h"
#include "tests/architectures/network_facts.h"

using namespace m3d;

namespace {

const NetworkInput kInput{2, 3, {8, 16, 16}};

std::shared_ptr<Network> network(const std::string& name, const Json& changes = Json::object(),
                                 const NetworkInput& input = kInput) {
  return reduced_network(name, input, changes);
}

torch::Tensor image(const NetworkInput& input = kInput) {
  return torch::randn({1, input.channels, input.patch[0], input.patch[1], input.patch[2]},
                      torch::make_generator<at::CPUGeneratorImpl>(7));
}

std::size_t tensors_with(const torch::nn::Module& module, const std::string& part) {
  std::size_t count = 0;
  for (const auto& parameter : module.named_parameters()) count += parameter.key().find(part) != std::string::npos;
  return count;
}

}  // namespace

TEST_CASE("U-Mamba starts from He's normal around Mamba's own values", "[umamba]") {
  const auto built = network("umambaenc", {{"features_per_stage", {8, 16, 32}}, {"d_state", 4}});
  const auto weights = scaled_moments(*built, [](const std::string&, const torch::Tensor& value) {
    return value.dim() > 3 ? std::sqrt(2 / (1 + 1e-4) / inputs_of_one_output(value)) : 0;
  });
  CHECK(std::abs(weights.mean) < 0.02);
  CHECK(std::abs(weights.deviation - 1) < 0.02);
  check_mamba_values(*built);
  for (const auto& parameter : built->named_parameters())
    if (parameter.key().find("norm") != std::string::npos) {
      INFO(parameter.key());
      CHECK(torch::all(parameter.value() == (ends_with(parameter.key(), "weight") ? 1 : 0)).item<bool>());
    }
}

TEST_CASE("U-Mamba has Mamba at the bottleneck or after every stage, or norms in its place", "[umamba]") {
  CHECK(tensors_with(*network("umambabot"), "A_log") == 1);
  CHECK(tensors_with(*network("umambaenc"), "A_log") == 3);
  CHECK(tensors_with(*network("umambabot_none"), "A_log") == 0);
  CHECK(tensors_with(*network("umambabot_none"), "mamba_layer.norm") == 2);
  CHECK(tensors_with(*network("umambaenc_none"), "norm.weight") == tensors_with(*network("umambaenc"), "norm.weight"));
  CHECK(find_architecture("umambabot_none").family == "control");
  const auto orders = [](const std::string& name) {
    return find_architecture(name).scan_orders(reduced_options(name), {2, 2, 2}, 1).size();
  };
  CHECK(orders("umambaenc") == 1);
  CHECK(orders("umambaenc_none") == 0);
}

TEST_CASE("U-Mamba's default plan has the published sizes", "[umamba]") {
  const auto millions = [](const std::string& name, const NetworkInput& input) {
    return static_cast<double>(count_parameters(find_architecture(name), input, Json::object())) / 1e6;
  };
  CHECK(std::abs(millions("umambabot", {4, 4, {128, 128, 128}}) - 42.124692) < 1e-6);
  CHECK(std::abs(millions("umambaenc", {4, 4, {128, 128, 128}}) - 42.755220) < 1e-6);
}

TEST_CASE("U-Mamba's deep supervision has an output at every decoder level, or one", "[umamba]") {
  for (const std::string name : {"umambabot", "umambaenc"}) {
    CHECK(network(name)->forward(image()).size() == 2);
    CHECK(network(name, {{"deep_supervision", false}})->forward(image()).size() == 1);
    CHECK(find_architecture(name).outputs(reduced_options(name, {{"deep_supervision", false}})) == 1);
  }
}

TEST_CASE("U-Mamba trains with every norm, activation and dimension", "[umamba]") {
  const std::vector<Json> points = {{{"norm_op", "BatchNorm"}, {"nonlin", "ReLU"}},
                                    {{"norm_op", "none"}, {"nonlin", "GELU"}, {"expand", 1}},
                                    {{"nonlin", "SiLU"}, {"n_conv_per_stage", {3, 2, 1}}, {"d_conv", 2}},
                                    {{"conv_op", "Conv2d"}, {"norm_affine", false}}};
  for (const auto& point : points)
    for (const std::string name : {"umambabot", "umambaenc"}) {
      INFO(name << " " << point.dump());
      const auto built = network(name, point);
      auto outputs = built->forward(image());
      CHECK(outputs[0].sizes() == torch::IntArrayRef{1, 3, 8, 16, 16});
      (outputs[0].square().mean() + outputs[1].square().mean()).backward();
      for (const auto& parameter : built->parameters())
        CHECK((parameter.grad().defined() && torch::isfinite(parameter.grad()).all().item<bool>()));
    }
}

TEST_CASE("U-Mamba of slices is that of the released 2D files unless the 3D form is asked for", "[umamba]") {
  const Json slices = {{"conv_op", "Conv2d"}}, as_volumes = {{"conv_op", "Conv2d"}, {"form", "3d"}};
  CHECK(tensors_with(*network("umambaenc", slices), "A_log") == 2);  // of three stages, the first and the last
  CHECK(tensors_with(*network("umambaenc", as_volumes), "A_log") == 3);
  CHECK(tensors_with(*network("umambaenc", {{"form", "2d"}}), "A_log") == 2);
  const auto inputs_of_finest_level = [&](const Json& changes) {
    return network("umambabot", changes)->named_parameters()["decoder.stages.1.0.conv1.weight"].size(1);
  };
  CHECK(inputs_of_finest_level(slices) == 4);
  CHECK(inputs_of_finest_level(as_volumes) == 8);
}

TEST_CASE("U-Mamba's Mamba layers stay in full precision under autocast", "[umamba]") {
  const auto built = network("umambaenc", Json::object());
  const auto exact = built->forward(image());
  at::autocast::set_autocast_dtype(torch::kCPU, torch::kBFloat16);
  at::autocast::set_autocast_enabled(torch::kCPU, true);
  const auto mixed = built->forward(image());
  CHECK(at::autocast::is_autocast_enabled(torch::kCPU));
  at::autocast::set_autocast_enabled(torch::kCPU, false);
  at::autocast::clear_cache();
  const auto error = (mixed[0].to(torch::kFloat32) - exact[0]).abs().mean() / exact[0].abs().mean();
  CHECK(error.item<double>() < 0.05);
}

TEST_CASE("U-Mamba refuses patches that cannot be, saying which can", "[umamba]") {
  const Json strides = {{"strides", {{1}, {2}, {2}}}};
  CHECK_THROWS_WITH(network("umambabot", strides, {1, 2, {8, 8, 14}}), Catch::Contains("[4,4,4]"));
  CHECK_THROWS_WITH(network("umambaenc", strides, {1, 2, {4, 4, 4}}), Catch::Contains("more than one voxel"));
  CHECK_THROWS_AS(network("umambabot", {{"stem_channels", 4}}), UserError);
  // The coarsest stage has 2 x 2 x 4 voxels and 16 channels: the channels are its tokens.
  const auto built = network("umambaenc", strides, {2, 3, {8, 8, 16}});
  CHECK_THROWS_WITH(built->forward(image({2, 3, {16, 8, 16}})), Catch::Contains("16 voxels, got 32"));
  CHECK_NOTHROW(network("umambabot")->forward(image({2, 3, {16, 8, 16}})));
}
