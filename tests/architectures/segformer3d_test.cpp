// SegFormer3D: start values, the two scales of attention, patches.
#include "common/error.h"
#include "tests/architectures/network_facts.h"

using namespace m3d;

namespace {

const NetworkInput kInput{2, 3, {16, 32, 48}};

}  // namespace

TEST_CASE("SegFormer3D starts as the original does", "[segformer3d]") {
  const auto network = find_architecture("segformer3d").build({1, 3, {32, 32, 32}}, Json::object(), 1);
  check_random(*network, "segformer_encoder.tf_block1.0.attention.query.weight", 0.02);
  check_random(*network, "segformer_encoder.tf_block3.1.mlp.fc1.weight", 0.02);
  check_random(*network, "segformer_decoder.linear_c4.proj.weight", 0.02);
  check_random(*network, "segformer_encoder.embed_2.patch_embeddings.weight", std::sqrt(2.0 / (27 * 64)));
  check_random(*network, "segformer_encoder.tf_block1.0.attention.sr.weight", std::sqrt(2.0 / (64 * 32)));
  check_random(*network, "segformer_encoder.tf_block4.0.mlp.dwconv.dwconv.weight", std::sqrt(2.0 / 27));
  check_random(*network, "segformer_decoder.linear_fuse.0.weight", std::sqrt(2.0 / 256));
  for (const std::string zero :
       {"segformer_encoder.embed_1.patch_embeddings.bias", "segformer_decoder.linear_pred.bias",
        "segformer_encoder.tf_block4.0.mlp.dwconv.dwconv.bias",
        "segformer_encoder.tf_block2.0.attention.key_value.bias"})
    check_constant(*network, zero, 0);
}

TEST_CASE("SegFormer3D's two released scales of attention differ", "[segformer3d]") {
  const auto output = [](const std::string& name, const Json& changes) {
    const auto network = reduced_network(name, kInput, changes);
    network->eval();
    const torch::NoGradGuard no_grad;
    return network->forward(image_of(kInput))[0];
  };
  CHECK_FALSE(torch::equal(output("segformer3d", {}), output("segformer3d_sdpa", {})));
  CHECK(torch::equal(output("segformer3d", {{"attention_scale", "head_dim"}}), output("segformer3d_sdpa", {})));
}

TEST_CASE("SegFormer3D refuses what cannot be", "[segformer3d]") {
  CHECK_THROWS_WITH(reduced_network("segformer3d", {1, 2, {18, 32, 32}}), Catch::Contains("multiples of [4,4,4]"));
  CHECK_THROWS_WITH(reduced_network("segformer3d", {1, 2, {12, 32, 32}}), Catch::Contains("reduction"));
  CHECK_THROWS_WITH(reduced_network("segformer3d", kInput, {{"depths", {1, 1}}}), Catch::Contains("4 values"));
  CHECK_THROWS_WITH(reduced_network("segformer3d", kInput, {{"num_heads", {3, 1, 1, 1}}}), Catch::Contains("heads"));
  CHECK_THROWS_WITH(reduced_network("segformer3d", {1, 2, {32, 32, 32}}, {{"patch_padding", {0, 1, 1, 1}}}),
                    Catch::Contains("patch_padding"));
}
