// UNETR: start values, patches, every option in training.
#include "common/error.h"
#include "tests/architectures/network_facts.h"

using namespace m3d;

namespace {

const NetworkInput kInput{1, 3, {16, 32, 48}};

}  // namespace

TEST_CASE("UNETR starts as MONAI's does", "[unetr]") {
  const auto network = reduced_network("unetr", kInput, {{"hidden_size", 96}, {"mlp_dim", 200}});
  check_random(*network, "vit.patch_embedding.position_embeddings", 0.02);
  check_random(*network, "vit.patch_embedding.patch_embeddings.weight", default_std(4096));
  check_random(*network, "vit.blocks.3.mlp.linear1.weight", default_std(96));
  check_random(*network, "vit.blocks.3.mlp.linear2.weight", default_std(200));
  check_random(*network, "vit.blocks.11.attn.qkv.weight", default_std(96));
  check_random(*network, "encoder2.blocks.0.1.conv1.conv.weight", default_std(8 * 27));
  check_random(*network, "decoder5.transp_conv.conv.weight", default_std(32 * 8));
  check_constant(*network, "vit.blocks.0.norm1.weight", 1);
  check_constant(*network, "vit.norm.bias", 0);
  const auto linear = reduced_network("unetr", kInput, {{"proj_type", "perceptron"}});
  check_random(*linear, "vit.patch_embedding.patch_embeddings.1.weight", 0.02);
  check_constant(*linear, "vit.patch_embedding.patch_embeddings.1.bias", 0);
}

TEST_CASE("UNETR trains with every option", "[unetr]") {
  const std::vector<Json> points = {
      {{"proj_type", "perceptron"}, {"qkv_bias", true}, {"dropout_rate", 0.1}},
      {{"conv_block", false}, {"res_block", false}, {"norm_name", "batch"}},
      {{"norm_name", "group"}, {"norm_num_groups", 2}, {"mlp_dim", 0}},
      {{"norm_name", "instance"}, {"norm_affine", "true"}, {"norm_track_running_stats", "true"}},
      {{"norm_name", "none"}, {"save_attn", true}},
      {{"spatial_dims", 2}},
      {{"spatial_dims", 2}, {"proj_type", "perceptron"}, {"norm_name", "batch"}}};
  for (const auto& point : points) {
    INFO(point.dump());
    const auto network = reduced_network("unetr", kInput, point);
    const auto outputs = network->forward(image_of(kInput));
    REQUIRE(outputs.size() == 1);
    CHECK(outputs[0].sizes() == torch::IntArrayRef{2, 3, 16, 32, 48});
    outputs[0].square().mean().backward();
    for (const auto& parameter : network->parameters())
      if (parameter.grad().defined()) CHECK(torch::isfinite(parameter.grad()).all().item<bool>());
  }
}

TEST_CASE("a slice goes through the 2D UNETR alone", "[unetr]") {
  const auto network = reduced_network("unetr", kInput, {{"spatial_dims", 2}});
  network->eval();
  const torch::NoGradGuard no_grad;
  const auto image = image_of(kInput);
  auto changed = image.clone();
  changed.select(2, 5).add_(1);
  const auto difference = (network->forward(image)[0] - network->forward(changed)[0]).abs().amax({0, 1, 3, 4});
  for (std::int64_t slice = 0; slice < 16; ++slice) CHECK((difference[slice].item<float>() > 0) == (slice == 5));
}

TEST_CASE("UNETR refuses what cannot be", "[unetr]") {
  CHECK_THROWS_WITH(reduced_network("unetr", {1, 2, {16, 24, 32}}), Catch::Contains("[16,16,16]"));
  CHECK_THROWS_WITH(reduced_network("unetr", {1, 2, {0, 16, 16}}), Catch::Contains("[16,16,16]"));
  CHECK_NOTHROW(reduced_network("unetr", {1, 2, {5, 16, 32}}, {{"spatial_dims", 2}}));
  CHECK_THROWS_WITH(reduced_network("unetr", kInput, {{"num_heads", 5}}), Catch::Contains("heads"));
  CHECK_THROWS_WITH(reduced_network("unetr", kInput, {{"norm_name", "group"}, {"norm_num_groups", 3}}),
                    Catch::Contains("3 groups"));
  CHECK_THROWS_AS(reduced_options("unetr", {{"spatial_dims", 4}}), UserError);
  const auto network = reduced_network("unetr", kInput);
  CHECK_THROWS_WITH(network->forward(torch::zeros({1, 1, 32, 32, 48})), Catch::Contains("build it for that patch"));
}
