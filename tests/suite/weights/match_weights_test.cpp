#include "suite/weights/match_weights.h"

#include "common/error.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

class Toy : public Network {
 public:
  Toy() {
    weight = register_parameter("weight", torch::zeros({2, 3}));
    bias = register_parameter("bias", torch::zeros({2}));
    register_buffer("counter", torch::zeros({}, torch::kLong));
  }
  std::vector<torch::Tensor> forward(const torch::Tensor& image) override { return {image}; }
  std::vector<torch::Tensor> forward_all(const torch::Tensor& image) override { return {image}; }
  torch::Tensor weight, bias;
};

Architecture toy() {
  Architecture architecture;
  architecture.name = "toy";
  architecture.state_aliases = {{"^all\\.", ""}};
  return architecture;
}

NamedTensors complete() { return {{"weight", torch::ones({2, 3})}, {"bias", torch::full({2}, 2.0)}}; }

}  // namespace

TEST_CASE("tensors go where their names say, types are converted, counters may be absent", "[weights]") {
  Toy network;
  NamedTensors tensors = complete();
  tensors[0].second = tensors[0].second.to(torch::kFloat16);
  const WeightMatch match = fill_network(network, toy(), tensors, "file");
  CHECK(match.filled == 2);
  CHECK(torch::equal(network.weight, torch::ones({2, 3})));
  CHECK(torch::equal(network.bias, torch::full({2}, 2.0)));
}

TEST_CASE("prefixes and second names are understood", "[weights]") {
  Toy network;
  NamedTensors prefixed;
  for (const auto& [name, tensor] : complete()) prefixed.emplace_back("module." + name, tensor);
  CHECK(fill_network(network, toy(), prefixed, "file").prefix == "module.");

  NamedTensors renamed = complete();  // only the second name, as safetensors' save_model keeps it
  renamed[0].first = "all.weight";
  CHECK(fill_network(network, toy(), renamed, "file").aliases == 1);

  NamedTensors shared = complete();  // a second name that no rule knows, for the same memory
  shared.emplace_back("conv.kernel", shared[0].second);
  CHECK(fill_network(network, toy(), shared, "file").aliases == 1);
}

TEST_CASE("a mismatch lists every tensor and leaves the network alone", "[weights]") {
  Toy network;
  const NamedTensors wrong = {{"weight", torch::ones({3, 2})}, {"gain", torch::ones({4})}};
  CHECK_THROWS_WITH(fill_network(network, toy(), wrong, "some.pt"),
                    Catch::Contains("some.pt") && Catch::Contains("missing (1):\n    bias [2]") &&
                        Catch::Contains("unexpected (1):\n    gain [4]") &&
                        Catch::Contains("of another shape (1):\n    weight: [3,2] instead of [2,3]"));
  CHECK(network.weight.abs().sum().item<float>() == 0);
}
