// TransBTS: start values, position encodings, probabilities, patches.
#include "common/error.h"
#include "tests/architectures/network_facts.h"

using namespace m3d;

namespace {

const NetworkInput kInput{1, 3, {8, 16, 16}};

torch::Tensor evaluated(const Json& changes) {
  const auto network = reduced_network("transbts", kInput, changes);
  network->eval();
  const torch::NoGradGuard no_grad;
  return network->forward(image_of(kInput))[0];
}

}  // namespace

TEST_CASE("TransBTS starts with PyTorch's defaults and positions of zero", "[transbts]") {
  const auto network = reduced_network("transbts", kInput);
  check_constant(*network, "position_encoding.position_embeddings", 0);
  check_random(*network, "transformer.net.0.fn.fn.qkv.weight", default_std(256));
  check_random(*network, "transformer.net.7.fn.fn.net.3.weight", default_std(64));
  check_random(*network, "Unet.EnBlock4_2.conv1.weight", default_std(64 * 27));
  check_random(*network, "DeUp4.conv2.weight", default_std(32 * 8));
  check_constant(*network, "Unet.EnBlock1.bn1.weight", 1);
}

TEST_CASE("fixed positions are sines and cosines of the sample's place in the batch", "[transbts]") {
  const auto network = reduced_network("transbts", kInput, {{"positional_encoding_type", "fixed"}});
  const auto table = network->named_buffers()["position_encoding.pe"];
  REQUIRE(table.sizes() == torch::IntArrayRef{512, 1, 256});
  CHECK(table[3][0][0].item<double>() == Approx(std::sin(3.0)));
  CHECK(table[3][0][5].item<double>() == Approx(std::cos(3.0 * std::pow(10000.0, -4.0 / 256))));
  // The same image twice: only the place differs.
  network->eval();
  const torch::NoGradGuard no_grad;
  const auto twice = image_of(kInput, 1).repeat({2, 1, 1, 1, 1});
  const auto output = network->forward(twice)[0];
  CHECK_FALSE(torch::allclose(output[0], output[1]));
}

TEST_CASE("TransBTS gives logits or, as released, probabilities", "[transbts]") {
  const auto logits = evaluated({}), probabilities = evaluated({{"output", "probabilities"}});
  CHECK(torch::allclose(torch::softmax(logits, 1), probabilities));
}

TEST_CASE("TransBTS's layers after the fourth are dead weight", "[transbts]") {
  CHECK(torch::equal(evaluated({{"num_layers", 4}}), evaluated({{"num_layers", 6}})));
}

TEST_CASE("TransBTS drops in training only", "[transbts]") {
  const auto network = reduced_network("transbts", kInput, {{"initial_dropout_rate", 0.5}});
  const auto image = image_of(kInput);
  torch::manual_seed(1);
  const auto first = network->forward(image)[0];
  CHECK_FALSE(torch::equal(first, network->forward(image)[0]));
  network->eval();
  CHECK(torch::equal(network->forward(image)[0], network->forward(image)[0]));
}

TEST_CASE("TransBTS refuses what cannot be", "[transbts]") {
  CHECK_THROWS_WITH(reduced_network("transbts", {1, 2, {8, 12, 16}}), Catch::Contains("[8,8,8]"));
  CHECK_THROWS_WITH(reduced_network("transbts", kInput, {{"conv_patch_representation", false}}),
                    Catch::Contains("original"));
  CHECK_THROWS_WITH(reduced_network("transbts", kInput, {{"embedding_dim", 300}}), Catch::Contains("256"));
  CHECK_THROWS_WITH(reduced_network("transbts", kInput, {{"num_heads", 7}}), Catch::Contains("heads"));
  CHECK_THROWS_AS(reduced_options("transbts", {{"num_layers", 3}}), UserError);
}
