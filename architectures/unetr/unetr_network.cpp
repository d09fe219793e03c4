#include "architectures/unetr/unetr_network.h"

#include "architectures/blocks/initialise.h"
#include "architectures/blocks/monai_norm.h"
#include "architectures/blocks/slices.h"
#include "architectures/family.h"
#include "architectures/unetr/vision_transformer.h"

namespace m3d {
namespace {

constexpr std::array<std::int64_t, 3> kTwice{2, 2, 2};

/// Tokens of the patch; along D as many as slices where the network is 2D.
Grid token_grid(const NetworkInput& input, int dimensions) {
  return {dimensions == 3 ? input.patch[0] / kUnetrPatch : 1, input.patch[1] / kUnetrPatch,
          input.patch[2] / kUnetrPatch};
}

class Unetr : public SliceNetwork {
 public:
  Unetr(const NetworkInput& input, const UnetrConfig& config);
  /// Volumes, or slices where the network is 2D.
  std::vector<torch::Tensor> forward_slices(const torch::Tensor& given, bool coarser) override;
  UnetrTransformer& transformer() { return *vit_; }

 private:
  void register_encoders(std::int64_t channels, const UnetrConfig& config);
  torch::Tensor features(const torch::Tensor& tokens) const;

  NetworkInput input_;
  int dimensions_;
  Grid grid_;
  std::shared_ptr<UnetrTransformer> vit_;
  std::shared_ptr<UnetrBasicBlock> encoder1_;
  std::array<std::shared_ptr<UnetrPrUpBlock>, 3> encoders_;  // 2 to 4
  std::array<std::shared_ptr<UnetrUpBlock>, 4> decoders_;    // 5 to 2
  std::shared_ptr<UnetOutBlock> out_;
};

Unetr::Unetr(const NetworkInput& input, const UnetrConfig& config)
    : SliceNetwork(config.style.dimensions),
      input_(input),
      dimensions_(config.style.dimensions),
      grid_(token_grid(input, dimensions_)) {
  vit_ = register_module("vit", std::make_shared<UnetrTransformer>(input.channels, voxels(grid_), config));
  register_encoders(input.channels, config);
  const std::int64_t width = config.feature_size;
  for (int i = 0; i < 4; ++i) {
    const UnetrBlockShape shape{i == 0 ? config.hidden_size : width << (4 - i), width << (3 - i)};
    decoders_[i] =
        register_module("decoder" + std::to_string(5 - i), std::make_shared<UnetrUpBlock>(shape, kTwice, config.style));
  }
  out_ = register_module("out", std::make_shared<UnetOutBlock>(width, input.classes, dimensions_));
}

void Unetr::register_encoders(std::int64_t channels, const UnetrConfig& config) {
  const std::int64_t width = config.feature_size;
  encoder1_ =
      register_module("encoder1", std::make_shared<UnetrBasicBlock>(UnetrBlockShape{channels, width}, config.style));
  for (int i = 0; i < 3; ++i)
    encoders_[i] =
        register_module("encoder" + std::to_string(i + 2),
                        std::make_shared<UnetrPrUpBlock>(UnetrBlockShape{config.hidden_size, width << (i + 1)},
                                                         /*num_layer=*/2 - i, kTwice, config.conv_block, config.style));
}

/// [B, tokens, hidden] as a volume of them.
torch::Tensor Unetr::features(const torch::Tensor& tokens) const {
  const auto volume = volume_of(tokens, grid_);
  return dimensions_ == 3 ? volume : volume.squeeze(2);
}

std::vector<torch::Tensor> Unetr::forward_slices(const torch::Tensor& given, bool) {
  require_image("UNETR", given, input_);
  const auto volume =
      given.contiguous(dimensions_ == 3 ? at::MemoryFormat::ChannelsLast3d : at::MemoryFormat::ChannelsLast);
  const auto states = vit_->forward(volume);
  auto x = features(states[3]);
  for (int i = 0; i < 3; ++i) {
    const int level = 2 - i;
    x = decoders_[i]->forward(x, encoders_[level]->forward(features(states[level])));
  }
  return {out_->forward(decoders_[3]->forward(x, encoder1_->forward(volume)))};
}

}  // namespace

UnetrConfig unetr_config(const Json& options) {
  UnetrConfig config;
  config.feature_size = options.at("feature_size"), config.hidden_size = options.at("hidden_size");
  config.mlp_dim = options.at("mlp_dim"), config.heads = options.at("num_heads");
  config.perceptron = options.at("proj_type") == "perceptron";
  config.conv_block = options.at("conv_block");
  config.dropout = options.at("dropout_rate");
  config.qkv_bias = options.at("qkv_bias");
  config.style = {monai_norm(options), options.at("res_block"), options.at("spatial_dims")};
  return config;
}

std::array<std::int64_t, 3> unetr_divisors(int dimensions) {
  return {dimensions == 3 ? kUnetrPatch : 1, kUnetrPatch, kUnetrPatch};
}

std::shared_ptr<Network> build_unetr(const NetworkInput& input, const UnetrConfig& config, std::uint64_t seed) {
  require_multiples("UNETR", input.patch, unetr_divisors(config.style.dimensions),
                    "the transformer's tokens are patches of 16 voxels");
  auto network = std::make_shared<Unetr>(input, config);
  const torch::NoGradGuard no_grad;
  const ParameterRandom random(seed);
  initialise_as_pytorch(*network, random);
  auto& embedding = *network->transformer().patch_embedding();
  const std::string place = "vit.patch_embedding.";
  random.truncated_normal(embedding.position_embeddings, place + "position_embeddings", 0.02);
  for_each_layer<Linear>(embedding, [&](Linear& linear, const std::string& name) {
    random.truncated_normal(linear.weight, place + name + ".weight", 0.02);
    linear.bias.zero_();
  });
  return network;
}

}  // namespace m3d
