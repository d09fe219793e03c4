// TransUNet and LeViT-UNet: initialisation, slices in a volume, sizes, bad options.
#include <torch/torch.h>

#include "architectures/macs.h"
#include "architectures/record_forms.h"
#include "common/error.h"
#include "tests/architectures/initial_values.h"
#include "tests/architectures/network_facts.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

std::shared_ptr<Network> network(const std::string& name, const Json& changes, const NetworkInput& input) {
  return reduced_network(name, input, changes);
}

const NetworkInput kTransUnet{1, 3, {2, 32, 32}}, kLevit{1, 3, {2, 64, 64}};

double pytorch_uniform(const torch::Tensor& weight) { return 1 / std::sqrt(3 * inputs_of_one_output(weight)); }

}  // namespace

TEST_CASE("TransUNet starts from PyTorch's defaults, its MLPs by Xavier, positions at zero", "[transunet]") {
  const auto built = network("transunet", {{"hidden_size", 64}, {"mlp_dim", 128}}, kTransUnet);
  const auto is_mlp = [](const std::string& name) { return name.find("ffn.fc") != std::string::npos; };
  const auto mlps = scaled_moments(*built, [&](const std::string& name, const torch::Tensor& value) {
    return is_mlp(name) && value.dim() > 1 ? std::sqrt(2.0 / (64 + 128)) : 0;
  });
  const auto biases = scaled_moments(*built, [&](const std::string& name, const torch::Tensor& value) {
    return is_mlp(name) && value.dim() == 1 ? 1e-6 : 0;
  });
  const auto others = scaled_moments(*built, [&](const std::string& name, const torch::Tensor& value) {
    return value.dim() > 1 && !is_mlp(name) && !ends_with(name, "position_embeddings") ? pytorch_uniform(value) : 0;
  });
  for (const auto& [moments, tolerance] : {std::pair{mlps, 0.03}, std::pair{biases, 0.2}, std::pair{others, 0.02}}) {
    CHECK(std::abs(moments.mean) < tolerance);
    CHECK(std::abs(moments.deviation - 1) < tolerance);
  }
  const auto parameters = built->named_parameters();
  CHECK(parameters["transformer.embeddings.position_embeddings"].count_nonzero().item<int>() == 0);
}

TEST_CASE("every slice of a volume is TransUNet's own sample", "[transunet]") {
  const auto built = network("transunet", Json::object(), kTransUnet);
  built->eval();
  const torch::NoGradGuard no_grad;
  const auto volume = torch::randn({2, 1, 3, 32, 32}, torch::make_generator<at::CPUGeneratorImpl>(3));
  const auto whole = built->forward(volume)[0];
  CHECK(whole.sizes() == torch::IntArrayRef{2, 3, 3, 32, 32});
  CHECK(torch::allclose(whole.select(2, 1), built->forward_all(volume.select(2, 1))[0], 1e-4, 1e-5));
}

TEST_CASE("TransUNet without ResNet or skips, and with dropout, trains", "[transunet]") {
  for (const Json& changes :
       std::vector<Json>{{{"hybrid", false}, {"n_skip", 0}},
                         {{"n_skip", 1}, {"dropout_rate", 0.5}, {"attention_dropout_rate", 0.5}}}) {
    INFO(changes.dump());
    const auto built = network("transunet", changes, kTransUnet);
    const auto logits = built->forward(torch::ones({1, 1, 2, 32, 32}))[0];
    CHECK(logits.sizes() == torch::IntArrayRef{1, 3, 2, 32, 32});
    logits.square().mean().backward();
    for (const auto& parameter : built->parameters()) CHECK(torch::isfinite(parameter.grad()).all().item<bool>());
  }
}

TEST_CASE("TransUNet refuses patches and options that cannot be, saying what can", "[transunet]") {
  const auto build = [](const Json& changes, const NetworkInput& input) { network("transunet", changes, input); };
  CHECK_THROWS_WITH(build(Json::object(), {1, 2, {1, 32, 48}}), Catch::Contains("equal"));
  CHECK_THROWS_WITH(build(Json::object(), {1, 2, {1, 40, 40}}), Catch::Contains("multiples of 16"));
  CHECK_THROWS_WITH(build({{"hybrid", false}}, kTransUnet), Catch::Contains("n_skip 0"));
  CHECK_THROWS_WITH(build({{"grid", {1, 1}}}, kTransUnet), Catch::Contains("n_skip 0"));
  CHECK_THROWS_WITH(build({{"num_heads", 3}}, kTransUnet), Catch::Contains("num_heads"));
  CHECK_THROWS_WITH(build({{"skip_channels", {512, 256, 64, 16}}}, kTransUnet), Catch::Contains("[256,128,32]"));
  CHECK_THROWS_WITH(build({{"width_factor", 0.3}}, kTransUnet), Catch::Contains("32 groups"));
  CHECK_THROWS_AS(build({{"n_skip", 4}}, kTransUnet), UserError);
  const auto built = network("transunet", Json::object(), kTransUnet);
  CHECK_THROWS_AS(built->forward(torch::zeros({1, 1, 2, 64, 64})), UserError);
}

TEST_CASE("LeViT-UNet starts from PyTorch's defaults, its residual branches at zero", "[levit_unet]") {
  const auto built = network("levit_unet_384", Json::object(), kLevit);
  const auto weights = scaled_moments(*built, [](const std::string& name, const torch::Tensor& value) {
    return value.dim() > 1 && !ends_with(name, "attention_biases") ? pytorch_uniform(value) : 0;
  });
  CHECK(std::abs(weights.mean) < 0.03);
  CHECK(std::abs(weights.deviation - 1) < 0.03);
  for (const auto& parameter : built->named_parameters()) {
    INFO(parameter.key());
    if (ends_with(parameter.key(), "proj.1.bn.weight") || ends_with(parameter.key(), "m.2.bn.weight") ||
        ends_with(parameter.key(), "attention_biases"))
      CHECK(parameter.value().count_nonzero().item<int>() == 0);
    else if (ends_with(parameter.key(), "bn.weight"))
      CHECK(torch::all(parameter.value() == 1).item<bool>());
  }
}

TEST_CASE("LeViT-UNet's smaller sizes are options of the same network", "[levit_unet]") {
  const auto millions = [](const char* name) {
    const auto form = find_record_form(name, {{"num_classes", 9}, {"img_size", 224}});
    REQUIRE(form);
    const auto count = count_parameters(find_architecture(form->architecture), form->input, form->options);
    return static_cast<double>(count) / 1e6;
  };
  CHECK(millions("levit_unet_384") == Approx(52.17).margin(0.01));
  CHECK(millions("levit_unet_192") == Approx(19.90).margin(0.01));
  CHECK(millions("levit_unet_128s") == Approx(15.91).margin(0.01));
}

TEST_CASE("LeViT-UNet trains without MLPs and with other activations, and drops branches only in training",
          "[levit_unet]") {
  const auto built = network("levit_unet_384",
                             {{"mlp_ratio", {0, 0, 0}}, {"attention_activation", "GELU"}, {"drop_path", 0.5}}, kLevit);
  const auto image = torch::randn({2, 1, 2, 64, 64}, torch::make_generator<at::CPUGeneratorImpl>(3));
  const auto logits = built->forward(image)[0];
  CHECK(logits.sizes() == torch::IntArrayRef{2, 3, 2, 64, 64});
  logits.square().mean().backward();
  for (const auto& parameter : built->parameters()) CHECK(torch::isfinite(parameter.grad()).all().item<bool>());
  built->eval();
  CHECK(torch::equal(built->forward(image)[0], built->forward(image)[0]));
}

TEST_CASE("LeViT-UNet refuses patches and options that cannot be, saying what can", "[levit_unet]") {
  const auto build = [](const Json& changes, const NetworkInput& input) { network("levit_unet_384", changes, input); };
  CHECK_THROWS_WITH(build(Json::object(), {1, 2, {1, 32, 64}}), Catch::Contains("equal"));
  CHECK_THROWS_WITH(build(Json::object(), {1, 2, {1, 48, 48}}), Catch::Contains("multiples of 32"));
  CHECK_THROWS_WITH(build({{"depth", {1, 1}}}, kLevit), Catch::Contains("3 values"));
  CHECK_THROWS_WITH(build({{"down_ops", {{4, 4, 4, 2, 4}, {4, 4, 4, 2, 2}}}}, kLevit), Catch::Contains("stride"));
  CHECK_THROWS_AS(build({{"mlp_activation", "Tanh"}}, kLevit), UserError);
}
