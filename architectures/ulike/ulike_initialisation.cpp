#include "architectures/blocks/initialise.h"
#include "architectures/ulike/ulike_network.h"

namespace m3d {
namespace {

constexpr double kStd = 0.02;

}  // namespace

void initialise_ulike(torch::nn::Module& network, std::uint64_t seed, bool keep_dt) {
  const torch::NoGradGuard no_grad;
  const ParameterRandom random(seed);
  initialise_as_pytorch(network, random);
  for_each_layer<Linear>(network, [&](Linear& linear, const std::string& name) {
    random.truncated_normal(linear.weight, name + ".weight", kStd);
    if (linear.bias.defined()) linear.bias.zero_();
  });
  for_each_layer<Convolution>(network, [&](Convolution& convolution, const std::string& name) {
    if (!convolution.shape.transposed)
      kaiming_normal(convolution.weight, random, name + ".weight", fan_out(convolution.weight));
  });
  // The released rule names Conv3d only: the 1D and 2D convolutions keep PyTorch's default.
  for_each_layer<TokenConvolution>(network, [&](TokenConvolution& depthwise, const std::string& name) {
    if (depthwise.weight.dim() == 5)
      kaiming_normal(depthwise.weight, random, name + ".weight", fan_out(depthwise.weight));
  });
  for_each_layer<TokenMixer>(network, [&](TokenMixer& mixer, const std::string& name) {
    mixer.initialise(random, name, keep_dt);
  });
  for (auto& parameter : network.named_parameters())
    if (parameter.key().find("pos_embed") != std::string::npos || parameter.key().find("PosEmbed") != std::string::npos)
      random.truncated_normal(parameter.value(), parameter.key(), kStd);
}

}  // namespace m3d
