#include <cmath>

#include "architectures/ulike/ulike_network.h"

namespace m3d {
namespace {

constexpr double kStd = 0.02;

/// PyTorch's default for convolutions: uniform with the reach 1/sqrt(fan in), weights and bias alike.
void initialise_by_default(torch::Tensor& weight, torch::Tensor& bias, const ParameterRandom& random,
                           const std::string& name) {
  const double reach = 1.0 / std::sqrt(static_cast<double>(weight.numel() / weight.size(0)));
  random.uniform(weight, name + ".weight", -reach, reach);
  if (bias.defined()) random.uniform(bias, name + ".bias", -reach, reach);
}

/// kaiming_normal_ with mode fan_out: sqrt(2 / fan out), where PyTorch's fan out ignores groups.
void initialise_by_fan_out(torch::Tensor& weight, const ParameterRandom& random, const std::string& name) {
  const auto fan_out = static_cast<double>(weight.numel() / weight.size(1));
  random.normal(weight, name + ".weight", std::sqrt(2.0 / fan_out));
}

template <class Norm>
bool initialise_norm(torch::nn::Module& module) {
  auto* norm = dynamic_cast<Norm*>(&module);
  if (!norm) return false;
  norm->weight.fill_(1);
  if constexpr (requires { norm->bias; }) norm->bias.zero_();
  return true;
}

void initialise_layer(torch::nn::Module& module, const ParameterRandom& random, const std::string& name) {
  if (auto* linear = dynamic_cast<Linear*>(&module)) {
    random.truncated_normal(linear->weight, name + ".weight", kStd);
    if (linear->bias.defined()) linear->bias.zero_();
  } else if (auto* convolution = dynamic_cast<Convolution*>(&module)) {
    initialise_by_default(convolution->weight, convolution->bias, random, name);
    if (!convolution->shape.transposed) initialise_by_fan_out(convolution->weight, random, name);
  } else if (auto* depthwise = dynamic_cast<TokenConvolution*>(&module)) {
    initialise_by_default(depthwise->weight, depthwise->bias, random, name);
    // The released rule names Conv3d only: the 1D and 2D convolutions keep PyTorch's default.
    if (depthwise->weight.dim() == 5) initialise_by_fan_out(depthwise->weight, random, name);
  } else {
    initialise_norm<LayerNorm>(module) || initialise_norm<RmsNorm>(module) || initialise_norm<VolumeNorm>(module);
  }
}

}  // namespace

void initialise_ulike(torch::nn::Module& network, std::uint64_t seed, bool keep_dt) {
  const torch::NoGradGuard no_grad;
  const ParameterRandom random(seed);
  const auto modules = network.named_modules();
  for (const auto& module : modules) initialise_layer(*module.value(), random, module.key());
  for (const auto& module : modules)
    if (auto* mixer = dynamic_cast<TokenMixer*>(module.value().get())) mixer->initialise(random, module.key(), keep_dt);
  for (auto& parameter : network.named_parameters())
    if (parameter.key().find("pos_embed") != std::string::npos || parameter.key().find("PosEmbed") != std::string::npos)
      random.truncated_normal(parameter.value(), parameter.key(), kStd);
}

}  // namespace m3d
