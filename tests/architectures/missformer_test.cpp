// MISSFormer: start values, the token MLPs, slices, patches.
#include "common/error.h"
#include "tests/architectures/network_facts.h"

using namespace m3d;

namespace {

const NetworkInput kInput{1, 3, {2, 32, 64}};

}  // namespace

TEST_CASE("MISSFormer starts with PyTorch's defaults, its decoder with Xavier's rule", "[missformer]") {
  const auto network = reduced_network("missformer", kInput, {{"base_width", 16}});
  check_random(*network, "backbone.block2.0.attn.q.weight", default_std(32));
  check_random(*network, "backbone.patch_embed2.proj.weight", default_std(16 * 9));
  check_random(*network, "bridge.bridge_layer3.mixffn2.fc1.weight", default_std(32));
  check_random(*network, "decoder_2.concat_linear.weight", std::sqrt(2.0 / (144 + 80)));
  check_random(*network, "decoder_1.layer_former_2.mlp.dwconv.dwconv.weight", std::sqrt(2.0 / (9 + 9 * 128)));
  check_constant(*network, "decoder_1.layer_former_2.mlp.fc1.bias", 0);
  check_constant(*network, "decoder_0.last_layer.bias", 0);
}

TEST_CASE("MISSFormer's token MLPs train, three channels go in as they are", "[missformer]") {
  const NetworkInput colours{3, 3, {2, 32, 64}};
  for (const std::string mode : {"mix_skip", "mix", "mlp"}) {
    INFO(mode);
    const auto network = reduced_network("missformer", colours, {{"token_mlp_mode", mode}});
    const auto outputs = network->forward(image_of(colours));
    REQUIRE(outputs.size() == 1);
    CHECK(outputs[0].sizes() == torch::IntArrayRef{2, 3, 2, 32, 64});
    outputs[0].square().mean().backward();
    CHECK(torch::isfinite(network->named_parameters()["backbone.patch_embed1.proj.weight"].grad()).all().item<bool>());
    CHECK(network->named_parameters().contains("backbone.block1.0.mlp.dwconv.dwconv.weight") == (mode != "mlp"));
  }
}

TEST_CASE("MISSFormer repeats a single channel", "[missformer]") {
  const NetworkInput colours{3, 3, {2, 32, 64}};
  const auto grey = reduced_network("missformer", kInput), coloured = reduced_network("missformer", colours);
  const torch::NoGradGuard no_grad;
  const auto image = image_of(kInput);
  CHECK(torch::allclose(grey->forward(image)[0], coloured->forward(image.expand({-1, 3, -1, -1, -1}))[0]));
}

TEST_CASE("MISSFormer refuses what cannot be", "[missformer]") {
  CHECK_THROWS_WITH(reduced_network("missformer", {1, 2, {2, 48, 64}}), Catch::Contains("[1,32,32]"));
  CHECK_THROWS_WITH(reduced_network("missformer", kInput, {{"base_width", 7}}), Catch::Contains("even"));
  CHECK_THROWS_AS(reduced_options("missformer", {{"token_mlp_mode", "mixed"}}), UserError);
}
