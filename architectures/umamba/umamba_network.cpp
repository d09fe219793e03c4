#include "architectures/umamba/umamba_network.h"

#include "architectures/blocks/initialise.h"
#include "architectures/blocks/unet_network.h"
#include "architectures/blocks/unet_plan.h"

namespace m3d {
namespace {

constexpr double kNegativeSlope = 0.01;  // of the initialisation, whatever the activation

/// A stem at full resolution, then the stages, each with a Mamba layer where the network has them here.
class Encoder : public torch::nn::Module {
 public:
  Encoder(std::int64_t channels, const UmambaConfig& config) {
    const auto list = [this](const char* name) { return register_module(name, std::make_shared<torch::nn::Module>()); };
    const auto& [features, kernels, strides] = config.stages;
    stem_ = register_module("stem", std::make_shared<ProjectedUnits>(config.encoder_units[0], channels, features[0],
                                                                     kernels[0], Triple{1, 1, 1}, config.style));
    const auto layers = config.in_encoder ? list("mamba_layers") : nullptr;
    const auto stages = list("stages");
    for (std::size_t s = 0; s < config.stages.count(); ++s) {
      const std::string name = std::to_string(s);
      stages_.push_back(stages->register_module(
          name, std::make_shared<ProjectedUnits>(config.encoder_units[s], features[s ? s - 1 : 0], features[s],
                                                 kernels[s], strides[s], config.style)));
      layers_.push_back(nullptr);
      if (config.has_layer(s))
        layers_.back() = layers->register_module(name, std::make_shared<MambaLayer>(config.layer_of(s)));
    }
  }

  /// The stages' outputs, finest first.
  std::vector<torch::Tensor> forward(torch::Tensor x) {
    std::vector<torch::Tensor> skips;
    x = stem_->forward(x);
    for (std::size_t s = 0; s < stages_.size(); ++s) {
      x = stages_[s]->forward(x);
      if (layers_[s]) x = layers_[s]->forward(x);
      skips.push_back(x);
    }
    return skips;
  }

 private:
  std::shared_ptr<ProjectedUnits> stem_;
  std::vector<std::shared_ptr<ProjectedUnits>> stages_;
  std::vector<std::shared_ptr<MambaLayer>> layers_;  // an entry a stage, null where it has none
};

UnetDecoderParts decoder_parts(const UmambaConfig& config) {
  UnetDecoderParts parts;
  parts.stage = [&config](std::size_t level, std::int64_t in, std::int64_t out, const Triple& kernel) {
    return unet_part(
        std::make_shared<ProjectedUnits>(config.decoder_units[level], in, out, kernel, Triple{1, 1, 1}, config.style));
  };
  parts.up = [&config](std::int64_t in, std::int64_t out, const Triple& factor) {
    return unet_part(std::make_shared<NearestUp>(in, out, factor, config.style.dimensions));
  };
  parts.up_name = "upsample_layers";
  parts.finest_skip = !config.flat;
  return parts;
}

std::shared_ptr<UnetNetwork> network_of(const NetworkInput& input, const UmambaConfig& config) {
  UnetBottleneck bottleneck;
  if (!config.in_encoder)
    bottleneck = {"mamba_layer", unet_part(std::make_shared<MambaLayer>(config.layer_of(config.stages.count() - 1)))};
  return std::make_shared<UnetNetwork>(
      config.style.dimensions, config.deep_supervision, unet_encoder(std::make_shared<Encoder>(input.channels, config)),
      std::make_shared<UnetDecoder>(config.stages, input.classes, config.style.dimensions, decoder_parts(config)),
      std::move(bottleneck));
}

}  // namespace

std::shared_ptr<Network> build_umamba(const NetworkInput& input, const UmambaConfig& config, std::uint64_t seed) {
  require_unet_patch(input.patch, config.stages, config.style);
  const auto network = network_of(input, config);
  const ParameterRandom random(seed);
  initialise_he(*network, random, kNegativeSlope);
  for_each_layer<TokenMixer>(
      *network, [&](TokenMixer& mixer, const std::string& name) { mixer.initialise(random, name, /*dt=*/true); });
  return network;
}

}  // namespace m3d
