// CoTr: start values, deep supervision, position code, patches.
#include "architectures/cotr/deformable_transformer.h"
#include "common/error.h"
#include "tests/architectures/mixed_precision.h"
#include "tests/architectures/network_facts.h"

using namespace m3d;

namespace {

const NetworkInput kInput{1, 3, {8, 16, 32}};

}  // namespace

TEST_CASE("CoTr starts as the original does", "[cotr]") {
  const auto network = reduced_network("cotr", kInput, {{"nhead", 4}});
  const std::string model = "U_ResTran3D.", attention = model + "encoder_Detrans.encoder.layers.1.self_attn.";
  check_random(*network, model + "backbone.conv1.weight", std::sqrt(2.0 / (343 * 8)));
  check_random(*network, model + "backbone.layer2.1.conv1.weight", std::sqrt(2.0 / (27 * 24)));
  check_random(*network, model + "transposeconv_stage2.weight", std::sqrt(2.0 / (8 * 24)));
  check_random(*network, model + "encoder_Detrans.encoder.layers.0.linear1.weight", std::sqrt(2.0 / (24 + 48)));
  check_random(*network, attention + "value_proj.weight", std::sqrt(2.0 / 48));
  check_constant(*network, attention + "sampling_offsets.weight", 0);
  check_constant(*network, attention + "attention_weights.bias", 0);
  check_constant(*network, attention + "output_proj.bias", 0);
  // Head 0 looks along the first axis, one step further a point; head 1 along the third.
  const auto offsets = network->named_parameters()[attention + "sampling_offsets.bias"].view({4, 2, 4, 3});
  for (int point = 0; point < 4; ++point) {
    CHECK(torch::allclose(offsets[0][1][point], torch::tensor({point + 1.0F, 0.0F, 0.0F}), 1e-5, 1e-6));
    CHECK(torch::allclose(offsets[1][0][point], torch::tensor({0.0F, 0.0F, point + 1.0F}), 1e-5, 1e-5));
  }
}

TEST_CASE("CoTr has its coarser outputs in training, unless told not to", "[cotr]") {
  const auto image = image_of(kInput);
  for (const bool deep : {true, false}) {
    const Json changes = {{"deep_supervision", deep}};
    const auto network = reduced_network("cotr", kInput, changes);
    CHECK(network->forward(image).size() == (deep ? 4 : 1));
    CHECK(network->forward_all(image).size() == (deep ? 4 : 1));
    CHECK(find_architecture("cotr").outputs(reduced_options("cotr", changes)) == (deep ? 4 : 1));
    network->eval();
    CHECK(network->forward(image).size() == 1);
  }
}

TEST_CASE("CoTr trains with every option", "[cotr]") {
  const std::vector<Json> points = {{{"norm_cfg", "BN"}, {"activation_cfg", "ReLU"}, {"dropout", 0.1}},
                                    {{"norm_cfg", "GN"}, {"backbone_widths", {16, 32}}, {"d_model", 48}},
                                    {{"norm_cfg", "SyncBN"}, {"weight_std", true}, {"activation", "relu"}},
                                    {{"num_encoder_layers", 0}},
                                    {{"enc_n_points", 1}, {"nhead", 8}}};
  for (const auto& point : points) {
    INFO(point.dump());
    const auto network = reduced_network("cotr", kInput, point);
    auto loss = torch::zeros({});
    for (const auto& output : network->forward(image_of(kInput))) loss = loss + output.square().mean();
    loss.backward();
    for (const auto& parameter : network->parameters())
      if (parameter.grad().defined()) CHECK(torch::isfinite(parameter.grad()).all().item<bool>());
  }
}

TEST_CASE("CoTr's position code is a third of the channels an axis", "[cotr]") {
  const auto code = cotr_position_code({2, 3, 4}, 26, torch::zeros({1}, torch::kFloat64));
  REQUIRE(code.sizes() == torch::IntArrayRef{1, 24, 26});
  const auto volume = code.view({2, 3, 4, 26});
  CHECK(torch::equal(volume[1][0][0].narrow(0, 0, 10), volume[1][2][3].narrow(0, 0, 10)));
  CHECK(torch::equal(volume[0][1][0].narrow(0, 10, 8), volume[1][1][3].narrow(0, 10, 8)));
  CHECK(torch::equal(volume[0][0][2].narrow(0, 18, 8), volume[1][2][2].narrow(0, 18, 8)));
  const double third_of_four = 2.5 / (4 + 1e-6) * 2 * 3.14159265358979323846;
  CHECK(volume[0][0][2][18].item<double>() == Approx(std::sin(third_of_four)));
  CHECK(volume[0][0][2][21].item<double>() == Approx(std::cos(third_of_four / std::pow(10000.0, 3.0 / 8))));
}

TEST_CASE("CoTr refuses what cannot be", "[cotr]") {
  CHECK_THROWS_WITH(reduced_network("cotr", {1, 2, {8, 24, 16}}), Catch::Contains("[8,16,16]"));
  CHECK_THROWS_WITH(reduced_network("cotr", {1, 2, {8, 16, 16}}), Catch::Contains("more than one voxel"));
  CHECK_NOTHROW(reduced_network("cotr", {1, 2, {8, 16, 16}}, {{"norm_cfg", "BN"}}));
  CHECK_THROWS_WITH(reduced_network("cotr", kInput, {{"nhead", 5}}), Catch::Contains("heads"));
  CHECK_THROWS_WITH(reduced_network("cotr", kInput, {{"d_model", 28}, {"nhead", 4}}), Catch::Contains("multiple of 6"));
  CHECK_THROWS_AS(reduced_options("cotr", {{"norm_cfg", "LN"}}), UserError);
}

TEST_CASE("CoTr reads the right voxels in mixed precision", "[cotr]") {
  // On a long axis the coordinates of 16 bits would be a quarter of a voxel off.
  const Grid grid{1, 1, 128};
  const DeformableShape shape{.width = 8, .heads = 2, .points = 2, .levels = 1};
  DeformableAttention attention(shape);
  torch::manual_seed(0);
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : attention.parameters()) parameter.normal_(0, 0.5);
    // Offsets that 16 bits hold exactly; the original's order of the axes makes them steps of the whole long axis.
    auto offsets = attention.named_parameters()["sampling_offsets.bias"];
    offsets.copy_((offsets * 64).round() / 64);
  }
  const auto tokens = torch::randn({1, 128, 8});
  const auto steps = (torch::arange(128) + 0.5) / 128;
  const auto reference = torch::stack({torch::full({128}, 0.5), torch::full({128}, 0.5), steps}, -1);
  const auto read = [&](const torch::Tensor& x) {
    return attention.forward(torch::zeros_like(x), x, reference.view({1, 128, 1, 1, 3}).to(x.dtype()), {grid});
  };
  torch::Tensor half;
  {
    const Bfloat16 autocast;
    half = read(tokens).to(torch::kFloat64);
  }
  attention.to(torch::kFloat64);
  const auto exact = read(tokens.to(torch::kFloat64));
  CHECK((half - exact).square().mean().sqrt().item<double>() < 0.02 * exact.std().item<double>());
}
