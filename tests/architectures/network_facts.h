#pragma once
// What the families' tests ask of a network: built in its reduced form, its start values, its number of outputs.
#include <torch/torch.h>

#include <cmath>

#include "architectures/registry.h"
#include "tests/catch.h"

namespace m3d {

/// The reduced form's options with changes, resolved.
inline Json reduced_options(const std::string& name, const Json& changes = Json::object()) {
  torch::set_num_threads(1);  // so small that a second thread only waits
  const Architecture& architecture = find_architecture(name);
  Json given = architecture.reduced;
  for (const auto& [key, value] : changes.items()) given[key] = value;
  return architecture.options.resolve(given, [](const std::string& key) { return key; });
}

inline std::shared_ptr<Network> reduced_network(const std::string& name, const NetworkInput& input,
                                                const Json& changes = Json::object()) {
  return find_architecture(name).build(input, reduced_options(name, changes), 1);
}

inline torch::Tensor image_of(const NetworkInput& input, std::int64_t batch = 2) {
  return torch::randn({batch, input.channels, input.patch[0], input.patch[1], input.patch[2]},
                      torch::make_generator<at::CPUGeneratorImpl>(7));
}

/// Random values of mean 0 and this standard deviation, as far as their number tells.
inline void check_random(const torch::nn::Module& network, const std::string& parameter, double std) {
  INFO(parameter);
  const auto values = network.named_parameters()[parameter];
  const double count = static_cast<double>(values.numel());
  REQUIRE(count >= 100);
  CHECK(std::abs(values.mean().item<double>()) <= 4 * std / std::sqrt(count));
  CHECK(std::abs(values.std().item<double>() / std - 1) <= 4 / std::sqrt(count));
}

/// All values are `value`.
inline void check_constant(const torch::nn::Module& network, const std::string& parameter, double value) {
  INFO(parameter);
  const auto values = network.named_parameters()[parameter];
  CHECK(torch::equal(values, torch::full_like(values, value)));
}

/// Standard deviation of PyTorch's default, uniform in ±1/sqrt(fan in).
inline double default_std(double fan_in) { return 1.0 / std::sqrt(3.0 * fan_in); }

}  // namespace m3d
