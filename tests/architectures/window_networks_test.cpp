// Swin-Unet, nnFormer and Swin UNETR: initialisation, training mode, options and patches that records do not show.
#include <torch/torch.h>

#include "architectures/registry.h"
#include "common/error.h"
#include "tests/architectures/mixed_precision.h"
#include "tests/architectures/network_facts.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

NetworkInput tiny_input(const std::string& name, std::int64_t channels = 1) {
  return {channels, 2, find_architecture(name).reduced_patch};
}

std::shared_ptr<Network> built(const std::string& name, const Json& changes = Json::object()) {
  return find_architecture(name).build(tiny_input(name), reduced_options(name, changes), 3);
}

torch::Tensor image_of(const std::string& name, std::int64_t channels = 1) {
  const auto patch = find_architecture(name).reduced_patch;
  return torch::randn({2, channels, patch[0], patch[1], patch[2]}, torch::make_generator<at::CPUGeneratorImpl>(7));
}

/// All values of the parameters whose names end so.
torch::Tensor values_of(Network& network, const std::string& ending) {
  std::vector<torch::Tensor> values;
  for (const auto& parameter : network.named_parameters()) {
    const std::string& key = parameter.key();
    if (key.size() >= ending.size() && key.compare(key.size() - ending.size(), ending.size(), ending) == 0)
      values.push_back(parameter.value().detach().flatten());
  }
  REQUIRE_FALSE(values.empty());
  return torch::cat(values);
}

void check_distribution(const torch::Tensor& values, double mean, double std, double tolerance) {
  CHECK(std::abs(values.mean().item<double>() - mean) <= tolerance);
  CHECK(std::abs(values.std(/*unbiased=*/false).item<double>() - std) <= tolerance);
}

/// Uniform in ±1/sqrt(fan in): PyTorch's default.
void check_default(Network& network, const std::string& name) {
  const auto weight = network.named_parameters()[name].detach();
  const double reach = 1 / std::sqrt(static_cast<double>(weight.numel() / weight.size(0)));
  INFO(name);
  check_distribution(weight, 0, reach / std::sqrt(3.0), 0.1 * reach);
  CHECK(weight.abs().max().item<double>() <= reach);
}

bool trains(Network& network, const torch::Tensor& image) {
  torch::manual_seed(5);  // of stochastic depth
  network.train();
  torch::Tensor loss = torch::zeros({});
  for (const auto& output : network.forward(image)) loss = loss + output.to(torch::kFloat32).square().mean();
  loss.backward();
  bool finite = std::isfinite(loss.item<double>());
  for (const auto& parameter : network.parameters())
    finite = finite && (!parameter.grad().defined() || torch::isfinite(parameter.grad()).all().item<bool>());
  return finite;
}

}  // namespace

TEST_CASE("Swin-Unet starts as the original does", "[init]") {
  const auto network = built("swin_unet", {{"embed_dim", 32}, {"ape", true}});
  check_distribution(values_of(*network, "fc1.weight"), 0, 0.02, 0.001);
  check_distribution(values_of(*network, "relative_position_bias_table"), 0, 0.02, 0.004);
  check_distribution(values_of(*network, "absolute_pos_embed"), 0, 0.02, 0.002);
  check_distribution(values_of(*network, "qkv.bias"), 0, 0, 0);
  check_distribution(values_of(*network, "norm1.weight"), 1, 0, 0);
  check_default(*network, "patch_embed.proj.weight");
  check_default(*network, "output.weight");
}

TEST_CASE("nnFormer and Swin UNETR start with PyTorch's defaults and small position tables", "[init]") {
  const auto former = built("nnformer", {{"embedding_dim", 24}});
  check_distribution(values_of(*former, "relative_position_bias_table"), 0, 0.02, 0.003);
  for (const std::string name : {"model_down.layers.2.blocks.0.attn.qkv.weight", "decoder.layers.1.Upsample.up.weight",
                                 "model_down.layers.1.downsample.reduction.weight", "final.0.up.weight"})
    check_default(*former, name);
  check_distribution(values_of(*former, "norm2.bias"), 0, 0, 0);
  const auto unetr = built("swin_unetr", {{"use_v2", true}});
  check_distribution(values_of(*unetr, "relative_position_bias_table"), 0, 0.02, 0.003);
  for (const std::string name : {"swinViT.layers2.0.blocks.0.mlp.linear1.weight", "encoder3.layer.conv1.conv.weight",
                                 "swinViT.layers3.0.downsample.reduction.weight", "decoder4.transp_conv.conv.weight"})
    check_default(*unetr, name);
}

TEST_CASE("dropout draws in training only, and everything trains, in bfloat16 too", "[window_networks]") {
  const std::vector<std::pair<std::string, Json>> points = {
      {"swin_unet", {{"drop_rate", 0.2}, {"attn_drop_rate", 0.2}, {"drop_path_rate", 0.5}}},
      {"nnformer", {{"drop_path_rate", 0.5}}},
      {"nnformer_acdc", {{"drop_path_rate", 0.5}}},
      {"swin_unetr",
       {{"drop_rate", 0.2}, {"attn_drop_rate", 0.2}, {"dropout_path_rate", 0.5}, {"norm_name", "batch"}}}};
  for (const auto& [name, changes] : points) {
    INFO(name);
    const auto network = built(name, changes);
    const auto image = image_of(name);
    CHECK(trains(*network, image));
    const torch::NoGradGuard no_grad;
    CHECK_FALSE(torch::equal(network->forward(image)[0], network->forward(image)[0]));
    network->eval();
    const auto exact = network->forward(image)[0];
    CHECK(torch::equal(exact, network->forward(image)[0]));
    torch::Tensor rounded;
    {
      const Bfloat16 bfloat16;
      rounded = network->forward(image)[0].to(torch::kFloat32);
      const torch::AutoGradMode grad(true);
      CHECK(trains(*network, image));
    }
    CHECK((rounded - exact).abs().mean().item<double>() < 0.1 * exact.std().item<double>());
  }
}

TEST_CASE("nnFormer's deep supervision is an option, with heads only where they are used", "[window_networks]") {
  for (const std::string name : {"nnformer", "nnformer_tumor", "nnformer_acdc"}) {
    const auto deep = built(name), plain = built(name, {{"deep_supervision", false}});
    CHECK(deep->forward(image_of(name)).size() == 3);
    CHECK(plain->forward(image_of(name)).size() == 1);
    CHECK(plain->forward_all(image_of(name)).size() == 1);
    CHECK(deep->named_parameters().contains("final.2.up.weight"));
    CHECK_FALSE(plain->named_parameters().contains("final.1.up.weight"));
    deep->eval();
    CHECK(deep->forward(image_of(name)).size() == 1);
    CHECK(deep->forward_all(image_of(name)).size() == 3);
  }
}

TEST_CASE("Swin-Unet repeats a single channel unless told otherwise, and takes slices that are no squares",
          "[window_networks]") {
  const auto repeated = built("swin_unet"), plain = built("swin_unet", {{"repeat_single_channel", false}});
  CHECK(repeated->named_parameters()["patch_embed.proj.weight"].size(1) == 3);
  CHECK(plain->named_parameters()["patch_embed.proj.weight"].size(1) == 1);
  CHECK(repeated->forward(image_of("swin_unet"))[0].sizes() == torch::IntArrayRef{2, 2, 2, 32, 64});
  const auto finer = built("swin_unet", {{"patch_size", 2}});
  CHECK(finer->forward(image_of("swin_unet"))[0].sizes() == torch::IntArrayRef{2, 2, 2, 32, 64});
}

TEST_CASE("checkpointing changes the order of a gradient's sum at most, in windows", "[window_networks]") {
  for (const std::string name : {"swin_unet", "swin_unetr"}) {
    const auto kept = built(name), recomputed = built(name, {{"use_checkpoint", true}});
    CHECK(trains(*kept, image_of(name)));
    CHECK(trains(*recomputed, image_of(name)));
    const auto expected = kept->parameters(), gradients = recomputed->parameters();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto& wanted = expected[i].grad();
      INFO(name << " " << recomputed->named_parameters()[i].key());
      CHECK((gradients[i].grad() - wanted).norm().item<double>() <= 1e-4 * wanted.norm().item<double>() + 1e-7);
    }
  }
}

TEST_CASE("the order of patch merging changes the result, not the parameters", "[window_networks]") {
  const torch::NoGradGuard no_grad;
  const auto image = image_of("swin_unetr");
  std::vector<torch::Tensor> outputs;
  for (const std::string merging : {"merging", "mergingv2", "merging_pre_1_5"})
    outputs.push_back(built("swin_unetr", {{"downsample", merging}})->forward(image)[0]);
  CHECK_FALSE(torch::equal(outputs[0], outputs[1]));
  CHECK_FALSE(torch::equal(outputs[0], outputs[2]));
  CHECK(torch::equal(outputs[2], built("swin_unetr_legacy")->forward(image)[0]));
}

TEST_CASE("options and patches that do not fit the window networks are refused with what to do", "[window_networks]") {
  const auto build = [](const std::string& name, const std::array<std::int64_t, 3>& patch, const Json& changes) {
    find_architecture(name).build({1, 2, patch}, reduced_options(name, changes), 1);
  };
  const Json none = Json::object();
  CHECK_THROWS_WITH(build("swin_unet", {1, 48, 64}, none), Catch::Contains("multiples of 64 always do"));
  CHECK_THROWS_WITH(build("swin_unet", {1, 96, 96}, {{"window_size", 4}}), Catch::Contains("windows of 4 x 4"));
  CHECK_NOTHROW(build("swin_unet", {1, 64, 64}, {{"window_size", 4}}));
  CHECK_THROWS_WITH(build("swin_unet", {1, 64, 64}, {{"depths", {2, 2}}}), Catch::Contains("'depths' needs 4 values"));
  CHECK_THROWS_WITH(build("swin_unet", {1, 64, 64}, {{"num_heads", {5, 1, 1, 1}}}), Catch::Contains("heads"));
  CHECK_THROWS_WITH(build("nnformer", {16, 32, 40}, none), Catch::Contains("[16,32,32]"));
  CHECK_THROWS_WITH(build("nnformer", {16, 32, 32}, {{"patch_size", {4, 4, 4}}}), Catch::Contains("[2, 4, 4]"));
  CHECK_THROWS_WITH(build("nnformer_tumor", {16, 32, 32}, none), Catch::Contains("[32,32,32]"));
  CHECK_THROWS_WITH(build("nnformer_acdc", {16, 32, 32}, none), Catch::Contains("6, 10, 14"));
  CHECK_THROWS_WITH(build("nnformer_acdc", {2, 32, 32}, none), Catch::Contains("6, 10, 14"));
  CHECK_THROWS_WITH(
      build("nnformer_acdc", {6, 32, 32}, {{"down_stride", {{1, 4, 4}, {1, 8, 8}, {2, 16, 16}, {2, 32, 32}}}}),
      Catch::Contains("down_stride"));
  CHECK_THROWS_WITH(build("swin_unetr", {32, 32, 48}, none), Catch::Contains("multiples of 32"));
  CHECK_THROWS_WITH(build("swin_unetr", {32, 32, 32}, none), Catch::Contains("more than one voxel"));
  CHECK_NOTHROW(build("swin_unetr", {32, 32, 32}, {{"norm_name", "batch"}}));
  CHECK_NOTHROW(build("swin_unetr", {1, 32, 64}, {{"spatial_dims", 2}, {"window_size", {3}}}));
  CHECK_THROWS_WITH(build("swin_unetr", {1, 32, 64}, {{"spatial_dims", 2}}), Catch::Contains("one value"));
  CHECK_THROWS_WITH(build("swin_unetr", {32, 32, 64}, {{"feature_size", 16}}), Catch::Contains("multiple of 12"));
  CHECK_THROWS_AS(built("nnformer")->forward(torch::zeros({1, 1, 16, 32, 32})), UserError);
  CHECK_THROWS_AS(built("swin_unet")->forward(torch::zeros({1, 1, 2, 32, 32})), UserError);
  CHECK_THROWS_AS(built("swin_unetr")->forward(torch::zeros({1, 1, 32, 32, 40})), UserError);
}
