#include "architectures/taming/taming_network.h"

#include "architectures/blocks/initialise.h"
#include "architectures/blocks/unet_network.h"
#include "architectures/blocks/unet_plan.h"

namespace m3d {
namespace {

constexpr Triple kOnes{1, 1, 1};
constexpr double kNegativeSlope = 0.01;  // of the initialisation, whatever the activation

class Encoder : public torch::nn::Module {
 public:
  Encoder(std::int64_t channels, const TamingConfig& config) : on_skips_(config.on_skips) {
    const auto list = [this](const char* name) { return register_module(name, std::make_shared<torch::nn::Module>()); };
    const auto& [features, kernels, strides] = config.stages;
    stem_ = register_module(
        "stem", std::make_shared<ConvolutionUnits>(1, channels, config.stem_channels, kernels[0], kOnes, config.style));
    const auto stages = list("stages"), layers = list("mamba_layers");
    for (std::size_t s = 0; s < features.size(); ++s) {
      const std::string name = std::to_string(s);
      ResidualShape block;
      block.kernel = kernels[s], block.bottleneck = config.bottleneck_channels[s];
      stages_.push_back(stages->register_module(
          name, std::make_shared<ResidualUnits>(config.encoder_units[s], s ? features[s - 1] : config.stem_channels,
                                                features[s], block, strides[s], config.style)));
      layers_.push_back(layers->register_module(
          name, std::make_shared<TamingLayer>(config.layer_of(s), config.directions, config.paper_order)));
    }
  }

  /// The layers' outputs, finest first.
  std::vector<torch::Tensor> forward(torch::Tensor x) {
    std::vector<torch::Tensor> skips;
    x = stem_->forward(x);
    for (std::size_t s = 0; s < stages_.size(); ++s) {
      x = stages_[s]->forward(x);
      skips.push_back(layers_[s]->forward(x));
      if (!on_skips_) x = skips.back();
    }
    return skips;
  }

 private:
  bool on_skips_;
  std::shared_ptr<ConvolutionUnits> stem_;
  std::vector<std::shared_ptr<ResidualUnits>> stages_;
  std::vector<std::shared_ptr<TamingLayer>> layers_;
};

/// Basic residual blocks, whatever the encoder's are.
UnetDecoderParts decoder_parts(const TamingConfig& config) {
  UnetDecoderParts parts;
  parts.stage = [&config](std::size_t level, std::int64_t in, std::int64_t out, const Triple& kernel) {
    ResidualShape block;
    block.kernel = kernel;
    return unet_part(std::make_shared<ResidualUnits>(config.decoder_units[level], in, out, block, kOnes, config.style));
  };
  parts.up = [&config](std::int64_t in, std::int64_t out, const Triple& factor) {
    return transposed_up(in, out, factor, config.style);
  };
  return parts;
}

std::shared_ptr<UnetNetwork> network_of(const NetworkInput& input, const TamingConfig& config) {
  return std::make_shared<UnetNetwork>(
      config.style.dimensions, config.deep_supervision, unet_encoder(std::make_shared<Encoder>(input.channels, config)),
      std::make_shared<UnetDecoder>(config.stages, input.classes, config.style.dimensions, decoder_parts(config)));
}

}  // namespace

std::shared_ptr<Network> build_taming(const NetworkInput& input, const TamingConfig& config, std::uint64_t seed) {
  require_unet_patch(input.patch, config.stages, config.style);
  const auto network = network_of(input, config);
  const ParameterRandom random(seed);
  initialise_he(*network, random, kNegativeSlope);
  start_residual_branches_at_zero(*network);
  for_each_layer<TokenMixer>(
      *network, [&](TokenMixer& mixer, const std::string& name) { mixer.initialise(random, name, /*dt=*/true); });
  return network;
}

}  // namespace m3d
