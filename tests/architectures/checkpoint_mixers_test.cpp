// Activation checkpointing of Mamba layers, in every network that has them.
#include "architectures/blocks/token_mixer.h"
#include "common/error.h"
#include "tests/architectures/reduced_form.h"
#include "tests/catch.h"

using namespace m3d;
using namespace m3d::test;

namespace {

Json options_with(const Architecture& architecture, const Json& more) {
  Json given = architecture.reduced;
  given.update(more);
  return architecture.options.resolve(given, [](const std::string& key) { return key; });
}

/// The gradients of one step in float64, by parameter.
std::vector<torch::Tensor> gradients(const std::string& name, bool checkpointed) {
  const Architecture& architecture = find_architecture(name);
  const Json options = options_with(architecture, {{kCheckpointMixers, checkpointed}});
  const NetworkInput input = reduced_input(architecture, options);
  const auto network = architecture.build(input, options, /*seed=*/1);
  network->to(torch::kDouble);
  torch::manual_seed(0);
  const auto image = torch::randn({1, input.channels, input.patch[0], input.patch[1], input.patch[2]}, torch::kDouble);
  torch::Tensor loss = torch::zeros({}, torch::kDouble);
  for (const auto& output : network->forward(image)) loss = loss + output.square().mean();
  loss.backward();
  std::vector<torch::Tensor> found;
  for (const auto& parameter : network->parameters()) found.push_back(parameter.grad());
  return found;
}

}  // namespace

TEST_CASE("checkpointing Mamba layers changes no gradient", "[checkpoint]") {
  for (const std::string name : {"ulike_mamba_3dmt", "segmamba", "umambaenc", "taming_segmamba"}) {
    const auto kept = gradients(name, false), again = gradients(name, true);
    REQUIRE(kept.size() == again.size());
    for (std::size_t i = 0; i < kept.size(); ++i) {
      INFO(name << ", parameter " << i);
      REQUIRE(kept[i].defined() == again[i].defined());
      if (kept[i].defined()) CHECK(torch::allclose(kept[i], again[i], 1e-9, 1e-13));
    }
  }
}

TEST_CASE("an order drawn anew at every call cannot be computed again", "[checkpoint]") {
  const Architecture& architecture = find_architecture("ulike_mamba_3d");
  const Json options =
      options_with(architecture, {{kCheckpointMixers, true}, {"scan", "dual_random"}, {"random_order", "per_call"}});
  CHECK_THROWS_WITH(architecture.build(reduced_input(architecture, options), options, 1),
                    Catch::Contains("random_order fixed"));
}
