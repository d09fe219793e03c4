#pragma once
// How Mamba's own parameters start, in every network that has them.
#include "tests/architectures/initial_values.h"
#include "tests/catch.h"

namespace m3d {

/// Names that contain `part`.
inline std::function<double(const std::string&, const torch::Tensor&)> named(const std::string& part) {
  return [part](const std::string& name, const torch::Tensor& value) {
    return name.find(part) == std::string::npos ? 0.0 : 1.0 / std::sqrt(3.0 * inputs_of_one_output(value));
  };
}

/// Linear layers as PyTorch's, A = -1, …, -N, D = 1, step sizes log-uniform in [0.001, 0.1] where `dt_proj` is special.
inline void check_mamba_values(const torch::nn::Module& network, const std::string& dt_proj = "dt_proj.bias") {
  const auto projections = scaled_moments(network, named("in_proj.weight"));
  REQUIRE(projections.count > 0);
  CHECK(std::abs(projections.mean) < 0.05);
  CHECK(std::abs(projections.deviation - 1) < 0.05);
  for (const auto& parameter : network.named_parameters()) {
    const std::string& name = parameter.key();
    const auto value = parameter.value().detach();
    INFO(name);
    if (name.find(".A_") != std::string::npos)
      CHECK(torch::allclose(value.exp(), torch::arange(1, value.size(1) + 1).expand_as(value).to(value.dtype())));
    if (name.find(".D") != std::string::npos) CHECK(torch::all(value == 1).item<bool>());
    if (!ends_with(name, dt_proj)) continue;
    const auto steps = torch::softplus(value);
    CHECK(steps.min().item<double>() > 0.00099);
    CHECK(steps.max().item<double>() < 0.101);
    if (value.numel() > 60) CHECK(std::abs(steps.log().mean().item<double>() - std::log(0.01)) < 0.6);
  }
}

}  // namespace m3d
