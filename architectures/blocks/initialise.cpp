#include "architectures/blocks/initialise.h"

#include <cmath>

#include "architectures/blocks/token_mixer.h"

namespace m3d {
namespace {

template <class Layer>
void uniform_by_fan_in(Layer& layer, const ParameterRandom& random, const std::string& name) {
  const double reach = 1.0 / std::sqrt(fan_in(layer.weight));
  random.uniform(layer.weight, name + ".weight", -reach, reach);
  if (layer.bias.defined()) random.uniform(layer.bias, name + ".bias", -reach, reach);
}

template <class Norm>
void initialise_norms(torch::nn::Module& network) {
  for_each_layer<Norm>(network, [](Norm& norm, const std::string&) {
    if (norm.weight.defined()) norm.weight.fill_(1);
    if constexpr (requires { norm.bias; })
      if (norm.bias.defined()) norm.bias.zero_();
  });
}

}  // namespace

double fan_in(const torch::Tensor& weight) { return static_cast<double>(weight.numel() / weight.size(0)); }
double fan_out(const torch::Tensor& weight) { return static_cast<double>(weight.numel() / weight.size(1)); }

void initialise_uniform(Linear& layer, const ParameterRandom& random, const std::string& name) {
  uniform_by_fan_in(layer, random, name);
}

void initialise_uniform(Convolution& layer, const ParameterRandom& random, const std::string& name) {
  uniform_by_fan_in(layer, random, name);
}

void kaiming_normal(torch::Tensor& weight, const ParameterRandom& random, const std::string& name, double fan,
                    double negative_slope) {
  random.normal(weight, name, std::sqrt(2.0 / (1.0 + negative_slope * negative_slope) / fan));
}

void xavier_uniform(torch::Tensor& weight, const ParameterRandom& random, const std::string& name) {
  const double reach = std::sqrt(6.0 / (fan_in(weight) + fan_out(weight)));
  random.uniform(weight, name, -reach, reach);
}

void initialise_as_pytorch(torch::nn::Module& network, const ParameterRandom& random) {
  const torch::NoGradGuard no_grad;
  for_each_layer<Linear>(network,
                         [&](Linear& layer, const std::string& name) { initialise_uniform(layer, random, name); });
  for_each_layer<Convolution>(
      network, [&](Convolution& layer, const std::string& name) { initialise_uniform(layer, random, name); });
  for_each_layer<TokenConvolution>(
      network, [&](TokenConvolution& layer, const std::string& name) { uniform_by_fan_in(layer, random, name); });
  initialise_norms<LayerNorm>(network);
  initialise_norms<RmsNorm>(network);
  initialise_norms<VolumeNorm>(network);
}

void initialise_he(torch::nn::Module& network, const ParameterRandom& random, double negative_slope) {
  const torch::NoGradGuard no_grad;
  initialise_as_pytorch(network, random);
  for_each_layer<Convolution>(network, [&](Convolution& layer, const std::string& name) {
    kaiming_normal(layer.weight, random, name + ".weight", fan_in(layer.weight), negative_slope);
    if (layer.bias.defined()) layer.bias.zero_();
  });
}

}  // namespace m3d
