// Every registered network in float32 and bfloat16 beside float64, and over repeated inference.
#include "suite/profile/memory_prediction.h"
#include "suite/train/device.h"
#include "tests/architectures/reduced_form.h"
#include "tests/catch.h"

using namespace m3d;
using namespace m3d::test;

namespace {

struct Reduced {
  explicit Reduced(const std::string& name) {
    const Architecture& architecture = find_architecture(name);
    const Json options = reduced_options(architecture);
    const NetworkInput input = reduced_input(architecture, options);
    network = architecture.build(input, options, /*seed=*/7);
    network->eval();
    torch::manual_seed(1);
    image = torch::randn({1, input.channels, input.patch[0], input.patch[1], input.patch[2]});
  }
  torch::Tensor run(torch::ScalarType type) {
    network->to(type);
    return network->forward(image.to(type))[0].to(torch::kFloat64);
  }

  std::shared_ptr<Network> network;
  torch::Tensor image;
};

double root_mean_square(const torch::Tensor& x) { return x.square().mean().sqrt().item<double>(); }

}  // namespace

// The bounds are relative to the output's standard deviation, at the initial weights.
TEST_CASE("float32 agrees with float64, bfloat16 by and large", "[precision]") {
  constexpr double float32_bound = 1e-3, bfloat16_bound = 0.1;
  const torch::NoGradGuard no_gradients;
  for (const auto& name : architecture_names()) {
    Reduced reduced(name);
    const auto single = reduced.run(torch::kFloat32);
    torch::Tensor half;
    {
      const AutocastScope autocast("cpu", "bf16");
      half = reduced.network->forward(reduced.image)[0].to(torch::kFloat64);
    }
    const auto exact = reduced.run(torch::kFloat64);
    const double scale = exact.std().item<double>();
    INFO(name);
    CHECK((single - exact).abs().max().item<double>() < float32_bound * scale);
    CHECK(root_mean_square(half - exact) < bfloat16_bound * scale);
  }
}

TEST_CASE("repeated inference needs no more memory than one", "[memory]") {
  const torch::NoGradGuard no_gradients;
  for (const auto& name : architecture_names()) {
    Reduced reduced(name);
    reduced.network->forward(reduced.image);  // tables that are made once
    const auto peak_of = [&](int calls) {
      const TensorMemoryMeter meter;
      for (int i = 0; i < calls; ++i) reduced.network->forward(reduced.image);
      return meter.peak_bytes();
    };
    const std::int64_t once = peak_of(1), often = peak_of(4);
    INFO(name);
    CHECK(once > 0);
    CHECK(often == once);
  }
}
