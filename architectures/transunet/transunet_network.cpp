#include "architectures/transunet/transunet_network.h"

#include "architectures/blocks/bilinear_decoder.h"
#include "architectures/blocks/initialise.h"
#include "architectures/blocks/slices.h"
#include "architectures/transunet/resnet_v2.h"
#include "architectures/transunet/vision_transformer.h"
#include "common/error.h"

namespace m3d {
namespace {

/// Slices as tokens with learned positions: parameter position_embeddings, children hybrid_model, patch_embeddings.
class Embeddings : public torch::nn::Module {
 public:
  Embeddings(std::int64_t channels, const TransUnetConfig& config) {
    position_ =
        register_parameter("position_embeddings", new_parameter({1, config.tokens * config.tokens, config.hidden}));
    if (config.hybrid)
      resnet_ = register_module("hybrid_model",
                                std::make_shared<ResnetV2>(channels, config.resnet_units, config.resnet_width));
    auto patches = square_convolution(config.hybrid ? 16 * config.resnet_width : channels, config.hidden, config.patch,
                                      config.patch, true);
    patches.padding.fill(0);
    patches_ = register_module("patch_embeddings", std::make_shared<Convolution>(patches));
    dropout_ = register_module("dropout", std::make_shared<Dropout>(config.dropout));
  }

  /// [B, C, H, W] → tokens [B, L, hidden]; the ResNet's skips go to `skips`.
  torch::Tensor forward(const torch::Tensor& slices, std::vector<torch::Tensor>& skips) {
    auto features = slices;
    if (resnet_) {
      auto found = resnet_->forward(slices);
      features = found.deepest, skips = std::move(found.skips);
    }
    return dropout_->forward(tokens_of(patches_->forward(features)) + position_);
  }

 private:
  torch::Tensor position_;
  std::shared_ptr<ResnetV2> resnet_;
  std::shared_ptr<Convolution> patches_;
  std::shared_ptr<Dropout> dropout_;
};

/// The cascaded up-sampler: children conv_more and blocks.
class CascadedUpsampler : public torch::nn::Module {
 public:
  explicit CascadedUpsampler(const TransUnetConfig& config) : skips_(config.skip_channels) {
    first_ =
        register_module("conv_more", std::make_shared<ConvolutionBatchNormRelu>(config.hidden, config.head_channels));
    const auto list = register_module("blocks", std::make_shared<torch::nn::Module>());
    std::int64_t in = config.head_channels;
    for (std::size_t i = 0; i < skips_.size(); ++i) {
      const std::int64_t out = config.decoder_channels[i];
      blocks_.push_back(
          list->register_module(std::to_string(i), std::make_shared<BilinearDecoderBlock>(in + skips_[i], out)));
      in = out;
    }
  }

  torch::Tensor forward(const torch::Tensor& slices, const std::vector<torch::Tensor>& skips) {
    auto x = first_->forward(slices);
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      x = blocks_[i]->forward(x, skips_[i] > 0 ? skips[i] : torch::Tensor());
    return x;
  }

 private:
  std::vector<std::int64_t> skips_;
  std::shared_ptr<ConvolutionBatchNormRelu> first_;
  std::vector<std::shared_ptr<BilinearDecoderBlock>> blocks_;
};

class TransUnetNetwork : public SliceNetwork {
 public:
  TransUnetNetwork(const NetworkInput& input, const TransUnetConfig& config) : config_(config) {
    const auto transformer = register_module("transformer", std::make_shared<torch::nn::Module>());
    // One channel is repeated to the three of the pre-trained ResNet; several are taken as they are.
    const std::int64_t channels = input.channels == 1 ? 3 : input.channels;
    embeddings_ = transformer->register_module("embeddings", std::make_shared<Embeddings>(channels, config));
    encoder_ = transformer->register_module("encoder", std::make_shared<VitEncoder>(config));
    decoder_ = register_module("decoder", std::make_shared<CascadedUpsampler>(config));
    const auto head = register_module("segmentation_head", std::make_shared<torch::nn::Module>());
    head_ = head->register_module("0", std::make_shared<Convolution>(square_convolution(config.decoder_channels.back(),
                                                                                        input.classes, 3, 1, true)));
  }

  std::vector<torch::Tensor> forward_slices(const torch::Tensor& given, bool) override {
    if (given.size(2) != config_.image || given.size(3) != config_.image)
      throw UserError("this TransUNet takes slices of " + std::to_string(config_.image) + " x " +
                      std::to_string(config_.image) + ", got " + Json(given.sizes().vec()).dump() +
                      "; build it for that size");
    const auto slices = given.size(1) == 1 ? given.expand({-1, 3, -1, -1}) : given;
    std::vector<torch::Tensor> skips;
    const auto tokens =
        encoder_->forward(embeddings_->forward(slices.contiguous(torch::MemoryFormat::ChannelsLast), skips));
    const auto features = volume_of(tokens, {1, config_.tokens, config_.tokens}).squeeze(2);
    return {head_->forward(decoder_->forward(features, skips))};
  }

 private:
  TransUnetConfig config_;
  std::shared_ptr<Embeddings> embeddings_;
  std::shared_ptr<VitEncoder> encoder_;
  std::shared_ptr<CascadedUpsampler> decoder_;
  std::shared_ptr<Convolution> head_;
};

/// PyTorch's defaults; the MLPs' weights by Xavier's rule with tiny biases, positions zero.
void initialise_transunet(torch::nn::Module& network, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  const ParameterRandom random(seed);
  initialise_as_pytorch(network, random);
  for_each_layer<VitMlp>(network, [&](VitMlp& mlp, const std::string& name) {
    for (const auto& [linear, place] : {std::pair{mlp.fc1, name + ".fc1"}, std::pair{mlp.fc2, name + ".fc2"}}) {
      xavier_uniform(linear->weight, random, place + ".weight");
      random.normal(linear->bias, place + ".bias", 1e-6);
    }
  });
  network.named_parameters()["transformer.embeddings.position_embeddings"].zero_();
}

}  // namespace

std::shared_ptr<Network> build_transunet(const NetworkInput& input, const Json& options, std::uint64_t seed) {
  if (input.patch[1] != input.patch[2])
    throw UserError("patch " + Json(input.patch).dump() +
                    " does not fit TransUNet: its slices are square, so H and W " + "must be equal");
  auto network = std::make_shared<TransUnetNetwork>(input, transunet_config(options, input.patch[1]));
  initialise_transunet(*network, seed);
  return network;
}

}  // namespace m3d
