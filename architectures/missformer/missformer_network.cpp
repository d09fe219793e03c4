#include "architectures/missformer/missformer_network.h"

#include "architectures/blocks/initialise.h"
#include "architectures/blocks/slices.h"
#include "architectures/family.h"
#include "architectures/missformer/missformer_parts.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr std::array<std::int64_t, 4> kHeads{1, 2, 5, 8}, kReductions{8, 4, 2, 1};
constexpr std::int64_t kChannels = 3;  // of the original's images; a single channel is repeated

std::vector<MixStageShape> encoder_stages(std::int64_t channels, std::int64_t base) {
  std::vector<MixStageShape> stages;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::int64_t width = base * kMissformerWidths[i];
    AttentionShape attention{width, kHeads[i], kReductions[i], /*qkv_bias=*/true};
    attention.dimensions = 2;
    const bool first = i == 0;
    stages.push_back({first ? channels : base * kMissformerWidths[i - 1], first ? 7 : 3, first ? 4 : 2, first ? 3 : 1,
                      /*depth=*/2, 4 * width, attention});
  }
  return stages;
}

class Missformer : public SliceNetwork {
 public:
  Missformer(const NetworkInput& input, const MissformerConfig& config);
  std::vector<torch::Tensor> forward_slices(const torch::Tensor& slices, bool coarser) override;
  const MixEncoder& backbone() const { return *backbone_; }
  const std::array<std::shared_ptr<MissformerDecoder>, 4>& decoders() const { return decoders_; }

 private:
  std::shared_ptr<MixEncoder> backbone_;
  std::shared_ptr<Bridge> bridge_;
  std::array<std::shared_ptr<MissformerDecoder>, 4> decoders_;  // coarsest last
};

Missformer::Missformer(const NetworkInput& input, const MissformerConfig& config) {
  const std::int64_t channels = input.channels == 1 ? kChannels : input.channels;
  backbone_ = register_module(
      "backbone", std::make_shared<MixEncoder>(encoder_stages(channels, config.base_width), config.mlp, MixNames{}));
  bridge_ = register_module("bridge", std::make_shared<Bridge>(config.base_width, config.bridge_mlp));
  for (std::size_t i = 4; i-- > 0;) {
    const std::int64_t width = config.base_width * kMissformerWidths[i];
    // The stage below expands to half its width; the coarsest one has none below, and layers for twice its own.
    const std::int64_t up = i == 3 ? width : config.base_width * kMissformerWidths[i + 1] / 2;
    decoders_[i] =
        register_module("decoder_" + std::to_string(i),
                        std::make_shared<MissformerDecoder>(MissformerDecoderShape{
                            up + width, width, kHeads[i], kReductions[i], config.mlp, i == 0 ? input.classes : 0}));
  }
}

std::vector<torch::Tensor> Missformer::forward_slices(const torch::Tensor& slices, bool) {
  const auto image = slices.size(1) == 1 ? slices.expand({-1, kChannels, -1, -1}) : slices;
  const auto levels = backbone_->forward(image.contiguous(torch::MemoryFormat::ChannelsLast));
  const auto skips = bridge_->forward(levels);
  auto x = decoders_[3]->expand(skips[3], levels[3].second);
  for (std::size_t i = 3; i-- > 0;) x = decoders_[i]->forward(x, skips[i], levels[i].second);
  return {x};
}

/// PyTorch's defaults, and xavier in the decoder.
void initialise(Missformer& network, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  const ParameterRandom random(seed);
  initialise_as_pytorch(network, random);
  const auto xavier = [&](auto& layer, const std::string& name) {
    if (name.rfind("decoder_", 0) != 0) return;
    xavier_uniform(layer.weight, random, name + ".weight");
    if (layer.bias.defined()) layer.bias.zero_();
  };
  for_each_layer<Linear>(network, xavier);
  for_each_layer<Convolution>(network, xavier);
  for_each_layer<TokenConvolution>(network, xavier);
}

}  // namespace

MissformerConfig missformer_config(const Json& options) {
  MissformerConfig config;
  config.base_width = options.at("base_width");
  if (config.base_width % 2 != 0)
    throw UserError("option 'base_width' must be even: every decoder stage halves its width, got " +
                    std::to_string(config.base_width));
  const std::string mode = options.at("token_mlp_mode");
  config.bridge_mlp = options.at("released_cost").get<bool>() ? MixMlp::skip_twice : MixMlp::skip;
  config.mlp = mode == "mix_skip" ? config.bridge_mlp : mode == "mix" ? MixMlp::mix : MixMlp::plain;
  return config;
}

std::shared_ptr<Network> build_missformer(const NetworkInput& input, const MissformerConfig& config,
                                          std::uint64_t seed) {
  require_multiples("MISSFormer", input.patch, kMissformerDivisors, "four stages reduce H and W by 32");
  auto network = std::make_shared<Missformer>(input, config);
  network->backbone().grids(input.patch);
  initialise(*network, seed);
  return network;
}

}  // namespace m3d
