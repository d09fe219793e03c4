#pragma once
// How layers start: PyTorch's defaults, and the named rules that originals apply on top of them. Every tensor's values
// follow from (seed, name) alone (ParameterRandom).
#include <string>

#include "architectures/blocks/layers.h"

namespace m3d {

/// Calls visit(layer, name) for every submodule of type Layer; `name` is its place in the network.
template <class Layer, class Visit>
void for_each_layer(torch::nn::Module& network, const Visit& visit) {
  for (const auto& module : network.named_modules())
    if (auto* layer = dynamic_cast<Layer*>(module.value().get())) visit(*layer, module.key());
}

/// Number of inputs that one output value sums: numel / size(0) (as torch.nn.init counts it, transposed layers too).
double fan_in(const torch::Tensor& weight);
/// numel / size(1).
double fan_out(const torch::Tensor& weight);

/// PyTorch's default of linear layers and convolutions: weight and bias uniform in ±1/sqrt(fan in).
void initialise_uniform(Linear& layer, const ParameterRandom& random, const std::string& name);
void initialise_uniform(Convolution& layer, const ParameterRandom& random, const std::string& name);

/// kaiming_normal_(a = negative_slope): normal with std sqrt(2 / (1 + a^2)) / sqrt(fan).
void kaiming_normal(torch::Tensor& weight, const ParameterRandom& random, const std::string& name, double fan,
                    double negative_slope = 0);
/// xavier_uniform_: uniform in ±sqrt(6 / (fan in + fan out)).
void xavier_uniform(torch::Tensor& weight, const ParameterRandom& random, const std::string& name);

/// nnU-Net's: initialise_as_pytorch, then every convolution of volumes or slices kaiming_normal by its inputs, biases
/// 0.
void initialise_he(torch::nn::Module& network, const ParameterRandom& random, double negative_slope);

/// Every Linear, Convolution and TokenConvolution uniform as above; every normalisation with weight 1 and bias 0.
void initialise_as_pytorch(torch::nn::Module& network, const ParameterRandom& random);

}  // namespace m3d
