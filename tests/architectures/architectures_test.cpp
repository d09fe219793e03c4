// What holds for every registered network, whoever adds it: shapes, gradients, state, repeatability.
#include <torch/torch.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "architectures/macs.h"
#include "architectures/registry.h"
#include "architectures/width.h"
#include "common/error.h"
#include "tests/architectures/reduced_form.h"
#include "tests/catch.h"

using namespace m3d;
using namespace m3d::test;

namespace {

torch::Tensor image_for(const NetworkInput& input) {
  torch::set_num_threads(1);  // so small that a second thread only waits
  torch::manual_seed(1);
  return torch::randn({2, input.channels, input.patch[0], input.patch[1], input.patch[2]});
}

std::shared_ptr<Network> reduced_network(const Architecture& architecture, std::uint64_t seed = 3) {
  const Json options = reduced_options(architecture);
  return architecture.build(reduced_input(architecture, options), options, seed);
}

torch::Tensor evaluated_output(Network& network, const torch::Tensor& image) {
  network.eval();
  return network.forward_all(image)[0];
}

/// The gradient of the sum of squares of all outputs, in training mode.
std::vector<torch::Tensor> gradients(Network& network, const torch::Tensor& image) {
  network.zero_grad();
  torch::manual_seed(2);  // of dropout
  torch::Tensor loss = torch::zeros({});
  for (const auto& output : network.forward(image)) loss = loss + output.square().mean();
  loss.backward();
  std::vector<torch::Tensor> all;
  for (const auto& parameter : network.parameters()) all.push_back(parameter.grad());
  return all;
}

}  // namespace

TEST_CASE("the registry finds names, suggests near ones and lists in natural order", "[registry]") {
  const auto names = architecture_names();
  REQUIRE(names.size() >= 6);
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == names.size());
  CHECK(find_architecture("ulike_mamba_3d").title == "UlikeMamba_3d");
  CHECK_THROWS_WITH(find_architecture("ulike_mamba_3D"), Catch::Contains("ulike_mamba_3d"));
  CHECK_THROWS_AS(register_architecture(find_architecture("ulike_mamba_3d")), std::logic_error);
}

TEST_CASE("every network keeps the promises of its registration", "[network]") {
  for (const auto& name : architecture_names()) {
    INFO(name);
    const Architecture& architecture = find_architecture(name);
    CHECK_FALSE(architecture.paper.empty());
    CHECK_FALSE(architecture.source.empty());
    const Json options = reduced_options(architecture);
    const NetworkInput input = reduced_input(architecture, options);
    const auto image = image_for(input);
    const auto network = reduced_network(architecture);

    const std::vector<std::int64_t> full{2, 3, input.patch[0], input.patch[1], input.patch[2]};
    network->eval();
    const auto evaluated = network->forward(image);
    REQUIRE(evaluated.size() == 1);
    CHECK(evaluated[0].sizes().vec() == full);
    CHECK(torch::equal(evaluated[0], network->forward(image)[0]));
    CHECK(torch::equal(evaluated[0], evaluated_output(*reduced_network(architecture), image)));
    CHECK_FALSE(torch::equal(evaluated[0], evaluated_output(*reduced_network(architecture, 4), image)));

    network->train();
    const auto outputs = network->forward(image);
    CHECK(static_cast<int>(outputs.size()) == architecture.outputs(options));
    for (std::size_t i = 1; i < outputs.size(); ++i) {
      CHECK(outputs[i].size(1) == 3);
      CHECK(outputs[i].numel() < outputs[i - 1].numel());
    }
  }
}

TEST_CASE("gradients reach every parameter that the forward uses, and repeat to the bit", "[network]") {
  for (const auto& name : architecture_names()) {
    INFO(name);
    const Architecture& architecture = find_architecture(name);
    const auto network = reduced_network(architecture);
    const auto image = image_for(reduced_input(architecture, reduced_options(architecture)));
    const auto first = gradients(*network, image), second = gradients(*network, image);
    const auto parameters = network->named_parameters();
    int reached = 0;
    for (std::size_t i = 0; i < first.size(); ++i) {
      INFO(parameters[i].key());
      if (!first[i].defined()) {
        const std::string& key = parameters[i].key();
        const auto& unused = architecture.unused_parameters;
        CHECK(std::any_of(unused.begin(), unused.end(),
                          [&](const std::string& part) { return key.find(part) != std::string::npos; }));
        continue;
      }
      ++reached;
      CHECK(torch::isfinite(first[i]).all().item<bool>());
      CHECK(torch::equal(first[i], second[i]));
    }
    CHECK(reached > static_cast<int>(first.size()) / 2);
  }
}

TEST_CASE("a network's state goes through a file and back", "[network]") {
  for (const auto& name : architecture_names()) {
    INFO(name);
    const Architecture& architecture = find_architecture(name);
    const auto image = image_for(reduced_input(architecture, reduced_options(architecture)));
    auto saved = reduced_network(architecture), loaded = reduced_network(architecture, 99);
    std::stringstream file;
    torch::save(std::static_pointer_cast<torch::nn::Module>(saved), file);
    auto target = std::static_pointer_cast<torch::nn::Module>(loaded);
    torch::load(target, file);
    CHECK(torch::equal(evaluated_output(*saved, image), evaluated_output(*loaded, image)));
  }
}

TEST_CASE("multiply-accumulates and parameters are counted without building the network", "[macs]") {
  for (const auto& name : architecture_names()) {
    INFO(name);
    const Architecture& architecture = find_architecture(name);
    const Json options = reduced_options(architecture);
    const NetworkInput input = reduced_input(architecture, options);
    const MacCounts counts = count_macs(architecture, input, options);
    CHECK(counts.convolution > 0);
    CHECK(counts.total() == counts.convolution + counts.linear + counts.attention + counts.scan);
    CHECK(counts.transposed_convolution <= counts.convolution);
    CHECK(counts.normalisation > 0);
    CHECK(counts == count_macs_of_run(*reduced_network(architecture), image_for(input).narrow(0, 0, 1)));
    CHECK(count_parameters(architecture, input, options) == count_parameters(*reduced_network(architecture)));
  }
}

TEST_CASE("every network has a width, and a wider or narrower one meets another's budget within 2 %", "[width]") {
  for (const auto& name : architecture_names()) {
    INFO(name);
    const Architecture& architecture = find_architecture(name);
    const Json options = reduced_options(architecture);
    const NetworkInput input = reduced_input(architecture, options);
    REQUIRE_FALSE(architecture.widths.empty());
    const Json twice = scaled_widths(architecture, options, 2, Json::object());
    const std::int64_t parameters = count_parameters(architecture, input, options);
    const std::int64_t wide = count_parameters(architecture, input, twice);
    CHECK(wide > parameters);
    const WidthMatch match = match_width(architecture, options, input, Budget::parameters, wide);
    CHECK(std::abs(static_cast<double>(match.reached - wide)) <= 0.02 * static_cast<double>(wide));
    CHECK(count_parameters(architecture, input, match.options) == match.reached);
  }
}

TEST_CASE("a control meets a budget of multiply-accumulates, and an impossible budget is refused", "[width]") {
  const Architecture& control = find_architecture("ulike_none");
  const Json options = control.options.resolve(Json::object(), [](const std::string& key) { return key; });
  const NetworkInput input{1, 16, {32, 64, 64}};
  const Architecture& mamba = find_architecture("ulike_mamba_3d");
  const std::int64_t target = count_macs(mamba, input, options).total();
  const WidthMatch match = match_width(control, options, input, Budget::macs, target);
  CHECK(std::abs(static_cast<double>(match.reached - target)) <= 0.02 * static_cast<double>(target));
  CHECK(match.options.at("mixer") == "none");
  CHECK_THROWS_WITH(match_width(control, options, input, Budget::parameters, 10), Catch::Contains("the nearest has"));
}
