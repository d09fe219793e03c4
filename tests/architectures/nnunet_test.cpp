// nnU-Net's networks: the planned topology, initialisation, deep supervision, bad options.
#include <torch/torch.h>

#include "architectures/macs.h"
#include "architectures/nnunet/nnunet_options.h"
#include "common/error.h"
#include "tests/architectures/initial_values.h"
#include "tests/architectures/network_facts.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

std::shared_ptr<Network> network(const std::string& name, const Json& changes, const NetworkInput& input) {
  return reduced_network(name, input, changes);
}

const NetworkInput kInput{2, 3, {8, 16, 24}};

std::size_t training_outputs(const std::string& name, const Json& changes) {
  const auto built = network(name, changes, kInput);
  built->train();
  const auto outputs = built->forward(torch::ones({1, 2, 8, 16, 24}));
  CHECK(outputs.size() == static_cast<std::size_t>(find_architecture(name).outputs(reduced_options(name, changes))));
  return outputs.size();
}

}  // namespace

TEST_CASE("strides planned from the patch follow nnU-Net's rule for isotropic voxels", "[nnunet]") {
  const auto product = [](const std::array<std::int64_t, 3>& patch, int dimensions) {
    Triple all{1, 1, 1};
    for (const auto& stride : planned_strides(patch, dimensions, 6))
      for (std::size_t axis = 0; axis < 3; ++axis) all[axis] *= stride[axis];
    return all;
  };
  CHECK(planned_strides({128, 128, 128}, 3, 6).size() == 6);
  CHECK(product({128, 128, 128}, 3) == Triple{32, 32, 32});
  CHECK(product({48, 192, 192}, 3) == Triple{8, 32, 32});
  CHECK(product({14, 256, 224}, 3) == Triple{2, 32, 32});
  CHECK(product({20, 40, 8}, 3) == Triple{4, 4, 2});
  CHECK(product({16, 256, 8}, 2) == Triple{1, 32, 2});  // depth is not halved in 2D
  CHECK(product({4, 8, 4}, 3) == Triple{1, 1, 1});      // a last axis alone needs 12 voxels
  CHECK(product({4, 12, 4}, 3) == Triple{1, 2, 1});
}

TEST_CASE("nnU-Net's default plan has the published widths", "[nnunet]") {
  const auto plan = [](const std::string& name) {
    return nnunet_config(
        find_architecture(name).options.resolve(Json::object(), [](const std::string& key) { return key; }),
        name == "nnunet_resenc", {128, 128, 128});
  };
  using Integers = std::vector<std::int64_t>;
  CHECK(plan("nnunet_plain").stages.features == Integers{32, 64, 128, 256, 320, 320});
  CHECK(plan("nnunet_plain").encoder_units == Integers{2, 2, 2, 2, 2, 2});
  CHECK(plan("nnunet_resenc").encoder_units == Integers{1, 3, 4, 6, 6, 6});
  CHECK(plan("nnunet_resenc").decoder_units == Integers{1, 1, 1, 1, 1});
  CHECK(plan("nnunet_plain_2d").stages.features == Integers{32, 64, 128, 256, 512, 512});
  const Architecture& plain = find_architecture("nnunet_plain");
  CHECK(count_parameters(plain, {4, 4, {128, 128, 128}}, Json::object()) == 31199796);
  CHECK(count_parameters(find_architecture("nnunet_resenc"), {4, 4, {128, 128, 128}}, Json::object()) == 102353972);
  CHECK(count_macs(plain, {4, 4, {128, 128, 128}}, Json::object()).convolution == 482890350592);
  CHECK(count_macs(plain, {4, 4, {128, 128, 128}}, {{"deep_supervision", false}}).convolution == 482801614848);
}

TEST_CASE("nnU-Net starts from He's normal with zero biases, residual branches from zero", "[nnunet]") {
  const auto built = network("nnunet_resenc", {{"features_per_stage", {16, 32, 64}}}, kInput);
  const auto weights = scaled_moments(*built, [](const std::string&, const torch::Tensor& value) {
    return value.dim() > 1 ? std::sqrt(2 / (1 + 1e-4) / inputs_of_one_output(value)) : 0;
  });
  CHECK(weights.count > 300000);
  CHECK(std::abs(weights.mean) < 0.01);
  CHECK(std::abs(weights.deviation - 1) < 0.01);
  for (const auto& parameter : built->named_parameters()) {
    INFO(parameter.key());
    const bool last = parameter.key().find("conv2.norm.weight") != std::string::npos;
    if (parameter.value().dim() == 1)
      CHECK(torch::all(parameter.value() == (ends_with(parameter.key(), "norm.weight") && !last ? 1 : 0)).item<bool>());
  }
}

TEST_CASE("nnU-Net's deep supervision has an output at every decoder level, or one", "[nnunet]") {
  for (const std::string name : {"nnunet_plain", "nnunet_plain_2d", "nnunet_resenc"}) {
    INFO(name);
    CHECK(training_outputs(name, Json::object()) == 2);
    CHECK(training_outputs(name, {{"deep_supervision", false}}) == 1);
    CHECK(training_outputs(name, {{"n_stages", 2},
                                  {"features_per_stage", {4}},
                                  {"strides", {{1}, {2}}},
                                  {name == "nnunet_resenc" ? "n_blocks_per_stage" : "n_conv_per_stage", {1}}}) == 1);
  }
}

TEST_CASE("nnU-Net trains with every kind of norm, dropout, activation and pooling", "[nnunet]") {
  const std::vector<std::pair<std::string, Json>> points = {
      {"nnunet_plain", {{"norm_op", "BatchNorm"}, {"dropout_op", "Dropout"}, {"nonlin", "GELU"}}},
      {"nnunet_plain", {{"norm_op", "none"}, {"dropout_op", "Dropout3d"}, {"nonlin", "SiLU"}, {"pool", "max"}}},
      {"nnunet_plain", {{"norm_track_running_stats", "always"}, {"nonlin_first", true}, {"pool", "avg"}}},
      {"nnunet_plain_2d", {{"norm_op", "BatchNorm"}, {"dropout_op", "Dropout2d"}, {"nonlin", "ELU"}}},
      {"nnunet_resenc", {{"squeeze_excitation", true}, {"stochastic_depth_p", 0.5}, {"nonlin", "Hardswish"}}},
      {"nnunet_resenc", {{"block", "BottleneckD"}, {"bottleneck_channels", {4}}, {"pool_type", "max"}}},
      {"nnunet_resenc", {{"norm_op", "BatchNorm"}, {"norm_track_running_stats", "never"}, {"nonlin", "none"}}}};
  for (const auto& [name, changes] : points) {
    INFO(name << " " << changes.dump());
    const auto built = network(name, changes, kInput);
    const auto outputs =
        built->forward(torch::randn({2, 2, 8, 16, 24}, torch::make_generator<at::CPUGeneratorImpl>(7)));
    CHECK(outputs[0].sizes() == torch::IntArrayRef{2, 3, 8, 16, 24});
    (outputs[0].square().mean() + outputs[1].square().mean()).backward();
    for (const auto& parameter : built->parameters())
      CHECK((parameter.grad().defined() && torch::isfinite(parameter.grad()).all().item<bool>()));
  }
}

TEST_CASE("nnU-Net refuses patches and options that cannot be, saying what can", "[nnunet]") {
  const Json strides = {{"strides", {{1}, {2}, {2}}}};
  CHECK_THROWS_WITH(network("nnunet_plain", strides, {1, 2, {8, 16, 26}}), Catch::Contains("[4,4,4]"));
  CHECK_THROWS_WITH(network("nnunet_plain", strides, {1, 2, {4, 4, 4}}), Catch::Contains("more than one voxel"));
  CHECK_THROWS_WITH(network("nnunet_plain", Json::object(), {1, 2, {7, 9, 11}}), Catch::Contains("too small"));
  CHECK_THROWS_WITH(network("nnunet_plain", {{"kernel_sizes", {{2}}}}, kInput), Catch::Contains("odd"));
  CHECK_THROWS_WITH(network("nnunet_plain", {{"kernel_sizes", {{3, 3}}}}, kInput), Catch::Contains("3 numbers"));
  CHECK_THROWS_WITH(network("nnunet_plain", {{"features_per_stage", {4, 8}}}, kInput), Catch::Contains("3 values"));
  CHECK_THROWS_WITH(network("nnunet_resenc", {{"block", "BottleneckD"}}, kInput),
                    Catch::Contains("bottleneck_channels"));
  CHECK_THROWS_AS(network("nnunet_plain", {{"norm_op", "GroupNorm"}}, kInput), UserError);
  CHECK_THROWS_AS(network("nnunet_plain", {{"stem_channels", 4}}, kInput), UserError);
}
