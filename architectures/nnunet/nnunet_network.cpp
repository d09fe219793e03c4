#include "architectures/nnunet/nnunet_network.h"

#include "architectures/blocks/initialise.h"
#include "architectures/blocks/unet_network.h"

namespace m3d {
namespace {

constexpr Triple kOnes{1, 1, 1};
constexpr double kNegativeSlope = 0.01;  // of the initialisation, whatever the activation

/// A stem (of the residual encoder), then the stages; each stage halves by its first convolution or by pooling before.
class Encoder : public torch::nn::Module {
 public:
  Encoder(std::int64_t channels, const NnunetConfig& config) : pool_(config.pool) {
    const Triple first = config.stages.kernels[0];
    if (config.residual) {
      stem_ = register_module(
          "stem", std::make_shared<ConvolutionUnits>(1, channels, config.stem_channels, first, kOnes, config.style));
      channels = config.stem_channels;
    }
    const auto list = register_module("stages", std::make_shared<torch::nn::Module>());
    for (std::size_t s = 0; s < config.stages.count(); ++s) {
      pools_.push_back(pool_ == "conv" ? kOnes : config.stages.strides[s]);
      register_stage(*list, s, channels, config);
      channels = config.stages.features[s];
    }
  }

  /// The stages' outputs, finest first.
  std::vector<torch::Tensor> forward(torch::Tensor x) {
    std::vector<torch::Tensor> skips;
    if (stem_) x = stem_->forward(x);
    for (std::size_t s = 0; s < pools_.size(); ++s) {
      if (pools_[s] != kOnes) x = pooled(x, pools_[s], pool_);
      x = stem_ ? residual_[s]->forward(x) : plain_[s]->forward(x);
      skips.push_back(x);
    }
    return skips;
  }

 private:
  /// Names follow the original's nn.Sequential: a plain stage lies in one whose first entry may be a pooling layer; a
  /// residual stage does so only where there is pooling at all.
  void register_stage(torch::nn::Module& list, std::size_t s, std::int64_t channels, const NnunetConfig& config) {
    const Triple stride = pool_ == "conv" ? config.stages.strides[s] : kOnes;
    const Triple& kernel = config.stages.kernels[s];
    const std::int64_t width = config.stages.features[s], count = config.encoder_units[s];
    const std::string name = std::to_string(s);
    if (!config.residual) {
      const auto stage = list.register_module(name, std::make_shared<torch::nn::Module>());
      plain_.push_back(stage->register_module(
          pools_[s] == kOnes ? "0" : "1",
          std::make_shared<ConvolutionUnits>(count, channels, width, kernel, stride, config.style)));
      return;
    }
    ResidualShape block = config.block;
    block.kernel = kernel, block.bottleneck = config.bottleneck_channels[s];
    residual_.push_back(std::make_shared<ResidualUnits>(count, channels, width, block, stride, config.style));
    if (pool_ == "conv")
      list.register_module(name, residual_.back());
    else
      list.register_module(name, std::make_shared<torch::nn::Module>())->register_module("1", residual_.back());
  }

  std::string pool_;
  std::vector<Triple> pools_;  // before each stage
  std::shared_ptr<ConvolutionUnits> stem_;
  std::vector<std::shared_ptr<ConvolutionUnits>> plain_;
  std::vector<std::shared_ptr<ResidualUnits>> residual_;
};

std::shared_ptr<UnetNetwork> network_of(const NetworkInput& input, const NnunetConfig& config) {
  return std::make_shared<UnetNetwork>(
      config.style.dimensions, config.deep_supervision, unet_encoder(std::make_shared<Encoder>(input.channels, config)),
      std::make_shared<UnetDecoder>(config.stages, input.classes, config.decoder_units, config.style));
}

}  // namespace

std::shared_ptr<Network> build_nnunet(const NetworkInput& input, const NnunetConfig& config, std::uint64_t seed) {
  require_unet_patch(input.patch, config.stages, config.style);
  const auto network = network_of(input, config);
  initialise_he(*network, ParameterRandom(seed), kNegativeSlope);
  start_residual_branches_at_zero(*network);
  return network;
}

}  // namespace m3d
