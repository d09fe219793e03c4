#include "architectures/segformer3d/segformer3d_network.h"

#include <cmath>

#include "architectures/blocks/initialise.h"
#include "architectures/blocks/linear_interpolation.h"
#include "architectures/blocks/stochastic.h"
#include "architectures/family.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr std::size_t kStages = 4;
constexpr std::int64_t kLastUpsampling = 4;  // of the decoder's output, whatever the first stage's stride

/// Linear layer and LayerNorm (which the original calls bn).
class LevelProjection : public torch::nn::Module {
 public:
  LevelProjection(std::int64_t in, std::int64_t out) {
    proj_ = register_module("proj", std::make_shared<Linear>(in, out, true));
    bn_ = register_module("bn", std::make_shared<LayerNorm>(out, 1e-5));
  }
  torch::Tensor forward(const torch::Tensor& tokens) { return bn_->forward(proj_->forward(tokens)); }

 private:
  std::shared_ptr<Linear> proj_;
  std::shared_ptr<LayerNorm> bn_;
};

class DecoderHead : public torch::nn::Module {
 public:
  DecoderHead(const SegFormer3dConfig& config, std::int64_t classes);
  /// Stage tokens, finest first → logits on kLastUpsampling times the first stage's grid.
  torch::Tensor forward(const std::vector<std::pair<torch::Tensor, Grid>>& levels);

 private:
  std::array<std::shared_ptr<LevelProjection>, kStages> projections_;  // finest first
  std::shared_ptr<Convolution> fuse_, predict_;
  std::shared_ptr<VolumeNorm> fuse_norm_;
  std::shared_ptr<Dropout> dropout_;
};

DecoderHead::DecoderHead(const SegFormer3dConfig& config, std::int64_t classes)
    : dropout_(std::make_shared<Dropout>(config.decoder_dropout)) {
  const std::int64_t width = config.decoder_width;
  for (std::size_t i = kStages; i-- > 0;)
    projections_[i] = register_module("linear_c" + std::to_string(i + 1),
                                      std::make_shared<LevelProjection>(config.stages[i].attention.dim, width));
  const auto fuse = register_module("linear_fuse", std::make_shared<torch::nn::Module>("Sequential"));
  fuse_ = fuse->register_module("0", std::make_shared<Convolution>(cubic_convolution(
                                         static_cast<std::int64_t>(kStages) * width, width, 1, 1, false)));
  fuse_norm_ = fuse->register_module("1", std::make_shared<VolumeNorm>("BN", width));
  register_module("dropout", dropout_);
  predict_ =
      register_module("linear_pred", std::make_shared<Convolution>(cubic_convolution(width, classes, 1, 1, true)));
}

torch::Tensor DecoderHead::forward(const std::vector<std::pair<torch::Tensor, Grid>>& levels) {
  const Grid& finest = levels[0].second;
  std::vector<torch::Tensor> features;
  for (std::size_t i = kStages; i-- > 0;) {
    const auto volume = volume_of(projections_[i]->forward(levels[i].first), levels[i].second);
    features.push_back(i == 0 ? volume : resized_linear(volume, finest, /*align_corners=*/false));
  }
  const auto fused = activate(fuse_norm_->forward(fuse_->forward(torch::cat(features, 1))), "ReLU");
  const auto logits = predict_->forward(dropout_->forward(fused));
  const Grid size{kLastUpsampling * finest[0], kLastUpsampling * finest[1], kLastUpsampling * finest[2]};
  return resized_linear(logits, size, /*align_corners=*/false);
}

class SegFormer3d : public Network {
 public:
  SegFormer3d(const SegFormer3dConfig& config, std::int64_t classes) {
    const MixNames names{"embed_", "patch_embeddings", "tf_block", "attention"};
    encoder_ = register_module("segformer_encoder", std::make_shared<MixEncoder>(config.stages, config.mlp, names));
    decoder_ = register_module("segformer_decoder", std::make_shared<DecoderHead>(config, classes));
  }
  std::vector<torch::Tensor> forward(const torch::Tensor& image) override {
    return {decoder_->forward(encoder_->forward(image.contiguous(torch::MemoryFormat::ChannelsLast3d)))};
  }
  std::vector<torch::Tensor> forward_all(const torch::Tensor& image) override { return forward(image); }
  const MixEncoder& encoder() const { return *encoder_; }

 private:
  std::shared_ptr<MixEncoder> encoder_;
  std::shared_ptr<DecoderHead> decoder_;
};

/// The first stage's grid times its stride must be the patch, so that the decoder's fixed factor gives its size back.
void require_fitting(const NetworkInput& input, const SegFormer3dConfig& config, const MixEncoder& encoder) {
  const std::int64_t stride = config.stages[0].stride;
  const std::string why = "stride of the first patch embedding";
  require_multiples("SegFormer3D", input.patch, {stride, stride, stride}, why);
  const Grid first = encoder.grids(input.patch)[0];
  for (std::size_t axis = 0; axis < 3; ++axis)
    if (first[axis] * stride != input.patch[axis])
      throw UserError("patch " + Json(input.patch).dump() +
                      " does not fit SegFormer3D: its first patch embedding (patch_kernel_size, patch_stride, " +
                      "patch_padding) makes a grid " + Json(first).dump() +
                      " of it; choose a padding that keeps size " + "/ stride");
}

void initialise(SegFormer3d& network, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  const ParameterRandom random(seed);
  initialise_as_pytorch(network, random);
  for_each_layer<Linear>(network, [&](Linear& linear, const std::string& name) {
    random.truncated_normal(linear.weight, name + ".weight", 0.02);
    if (linear.bias.defined()) linear.bias.zero_();
  });
  for_each_layer<Convolution>(network, [&](Convolution& convolution, const std::string& name) {
    kaiming_normal(convolution.weight, random, name + ".weight", fan_out(convolution.weight));
    if (convolution.bias.defined()) convolution.bias.zero_();
  });
  for_each_layer<TokenConvolution>(network, [&](TokenConvolution& depthwise, const std::string& name) {
    kaiming_normal(depthwise.weight, random, name + ".weight", fan_in(depthwise.weight));  // a group a channel
    depthwise.bias.zero_();
  });
}

}  // namespace

SegFormer3dConfig segformer3d_config(const Json& options, std::int64_t channels) {
  const auto list = [&](const char* name) { return integers_of(options, name, kStages); };
  const auto widths = list("embed_dims"), reductions = list("sr_ratios"), heads = list("num_heads");
  const auto kernels = list("patch_kernel_size"), strides = list("patch_stride"), paddings = list("patch_padding");
  const auto ratios = list("mlp_ratios"), depths = list("depths");
  SegFormer3dConfig config;
  config.decoder_width = options.at("decoder_head_embedding_dim");
  config.decoder_dropout = options.at("decoder_dropout");
  if (options.at("mlp_memory") == "channels_first") config.mlp = MixMlp::batch_norm_channels_first;
  for (std::size_t i = 0; i < kStages; ++i) {
    AttentionShape attention{widths[i], heads[i], reductions[i], options.at("qkv_bias")};
    attention.names = {"query", "key_value", "sr_norm"};
    if (options.at("attention_scale") == "num_heads") attention.scale = 1.0 / std::sqrt(static_cast<double>(heads[i]));
    config.stages.push_back({i == 0 ? channels : widths[i - 1], kernels[i], strides[i], paddings[i], depths[i],
                             ratios[i] * widths[i], attention});
  }
  return config;
}

std::shared_ptr<Network> build_segformer3d(const NetworkInput& input, const SegFormer3dConfig& config,
                                           std::uint64_t seed) {
  auto network = std::make_shared<SegFormer3d>(config, input.classes);
  require_fitting(input, config, network->encoder());
  initialise(*network, seed);
  return network;
}

}  // namespace m3d
