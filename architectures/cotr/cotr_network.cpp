#include "architectures/cotr/cotr_network.h"

#include "architectures/blocks/initialise.h"
#include "architectures/blocks/linear_interpolation.h"
#include "architectures/family.h"
#include "common/error.h"

namespace m3d {
namespace {

/// One convolution with a shortcut: act(norm1(conv1(x)) + x), the shortcut through a strided 1x1x1 convolution and a
/// norm where the size changes.
class BackboneBlock : public torch::nn::Module {
 public:
  BackboneBlock(std::int64_t in, std::int64_t out, std::int64_t stride, const ConvolutionStyle& style)
      : activation_(style.activation) {
    conv1_ = register_module(
        "conv1", std::make_shared<Convolution>(styled(cubic_convolution(in, out, 3, stride, false), style)));
    norm1_ = register_module("norm1", std::make_shared<VolumeNorm>(style.norm, out));
    if (stride == 1) return;
    const auto sequential = register_module("downsample", std::make_shared<torch::nn::Module>("Sequential"));
    shortcut_ = sequential->register_module(
        "0", std::make_shared<Convolution>(styled(cubic_convolution(in, out, 1, stride, false), style)));
    shortcut_norm_ = sequential->register_module("1", std::make_shared<VolumeNorm>(style.norm, out));
  }
  torch::Tensor forward(const torch::Tensor& volume) {
    const auto shortcut = shortcut_ ? shortcut_norm_->forward(shortcut_->forward(volume)) : volume;
    return activate(norm1_->forward(conv1_->forward(volume)) + shortcut, activation_);
  }

 private:
  std::string activation_;
  std::shared_ptr<Convolution> conv1_, shortcut_;
  std::shared_ptr<VolumeNorm> norm1_, shortcut_norm_;
};

/// A 7x7x7 convolution that halves H and W, then three layers of blocks that halve all axes.
class Backbone : public torch::nn::Module {
 public:
  Backbone(std::int64_t channels, const CotrConfig& config);
  /// The four levels' volumes, finest first.
  std::vector<torch::Tensor> forward(const torch::Tensor& image);

 private:
  std::string activation_;
  std::shared_ptr<Convolution> conv1_;
  std::shared_ptr<VolumeNorm> norm1_;
  std::array<std::vector<std::shared_ptr<BackboneBlock>>, 3> layers_;
};

Backbone::Backbone(std::int64_t channels, const CotrConfig& config) : activation_(config.style.activation) {
  const auto& widths = config.widths;
  auto stem = cubic_convolution(channels, widths[0], 7, 2, false);
  stem.stride = {1, 2, 2};
  conv1_ = register_module("conv1", std::make_shared<Convolution>(styled(stem, config.style)));
  norm1_ = register_module("norm1", std::make_shared<VolumeNorm>(config.style.norm, widths[0]));
  constexpr std::array<int, 3> blocks{3, 3, 2};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto layer =
        register_module("layer" + std::to_string(i + 1), std::make_shared<torch::nn::Module>("Sequential"));
    for (int block = 0; block < blocks[i]; ++block)
      layers_[i].push_back(layer->register_module(
          std::to_string(block), std::make_shared<BackboneBlock>(widths[block == 0 ? i : i + 1], widths[i + 1],
                                                                 block == 0 ? 2 : 1, config.style)));
  }
}

std::vector<torch::Tensor> Backbone::forward(const torch::Tensor& image) {
  std::vector<torch::Tensor> levels{activate(norm1_->forward(conv1_->forward(image)), activation_)};
  for (auto& layer : layers_) {
    auto x = levels.back();
    for (auto& block : layer) x = block->forward(x);
    levels.push_back(x);
  }
  return levels;
}

/// Transposed convolution, the skip added, two convolution blocks with a shortcut around both.
struct DecoderStage {
  std::shared_ptr<Convolution> up, head;
  std::shared_ptr<ConvolutionBlock> conv1, conv2;

  torch::Tensor forward(const torch::Tensor& volume, const torch::Tensor& skip) const {
    const auto joined = up->forward(volume) + skip;
    return conv2->forward(conv1->forward(joined)) + joined;
  }
};

class Segmenter : public torch::nn::Module {
 public:
  Segmenter(const NetworkInput& input, const CotrConfig& config);
  /// Full resolution first; with `coarser`, then the heads of the decoder's stages in descending resolution.
  std::vector<torch::Tensor> forward(const torch::Tensor& image, bool coarser);
  DeformableTransformer& transformer() { return *transformer_; }

 private:
  void register_decoder(const CotrConfig& config, std::int64_t classes);
  std::array<DecoderStage, 3> stages_;  // finest first
  std::shared_ptr<Convolution> head_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<DeformableTransformer> transformer_;
};

Segmenter::Segmenter(const NetworkInput& input, const CotrConfig& config) {
  register_decoder(config, input.classes);
  backbone_ = register_module("backbone", std::make_shared<Backbone>(input.channels, config));
  transformer_ = register_module("encoder_Detrans", std::make_shared<DeformableTransformer>(config.transformer));
}

void Segmenter::register_decoder(const CotrConfig& config, std::int64_t classes) {
  const auto number = [](const char* before, std::size_t i, const char* after) {
    return before + std::to_string(i) + after;
  };
  const auto& widths = config.widths;
  for (std::size_t i = 3; i-- > 0;) {
    auto up = cubic_convolution(widths[i + 1], widths[i], 2, 2, false);
    up.padding.fill(0), up.transposed = true;
    stages_[i].up = register_module(number("transposeconv_stage", i, ""), std::make_shared<Convolution>(up));
  }
  for (std::size_t i = 3; i-- > 0;) {
    const auto block = register_module(number("stage", i, "_de"), std::make_shared<torch::nn::Module>("ResBlock"));
    const auto shape = cubic_convolution(widths[i], widths[i], 3, 1, false);
    stages_[i].conv1 = block->register_module("resconv1", std::make_shared<ConvolutionBlock>(shape, config.style));
    stages_[i].conv2 = block->register_module("resconv2", std::make_shared<ConvolutionBlock>(shape, config.style));
  }
  const auto head = [&](std::size_t i) {
    return std::make_shared<Convolution>(cubic_convolution(widths[i], classes, 1, 1, true));
  };
  for (std::size_t i = 3; i-- > 0;) stages_[i].head = register_module(number("ds", i, "_cls_conv"), head(i));
  head_ = register_module("cls_conv", head(0));
}

std::vector<torch::Tensor> Segmenter::forward(const torch::Tensor& image, bool coarser) {
  const auto levels = backbone_->forward(image.contiguous(torch::MemoryFormat::ChannelsLast3d));
  const auto deep = transformer_->forward({levels[2], levels[3]});
  const std::array<torch::Tensor, 3> skips{levels[0], levels[1], deep[0]};
  auto x = deep[1];
  std::vector<torch::Tensor> outputs;
  for (std::size_t i = 3; i-- > 0;) {
    x = stages_[i].forward(x, skips[i]);
    if (coarser) outputs.insert(outputs.begin(), stages_[i].head->forward(x));
  }
  const Grid size{x.size(2), 2 * x.size(3), 2 * x.size(4)};
  outputs.insert(outputs.begin(), head_->forward(resized_linear(x, size, /*align_corners=*/false)));
  return outputs;
}

class Cotr : public Network {
 public:
  Cotr(const NetworkInput& input, const CotrConfig& config) : deep_(config.deep_supervision) {
    model_ = register_module("U_ResTran3D", std::make_shared<Segmenter>(input, config));
  }
  std::vector<torch::Tensor> forward(const torch::Tensor& image) override {
    return model_->forward(image, deep_ && is_training());
  }
  std::vector<torch::Tensor> forward_all(const torch::Tensor& image) override {
    auto outputs = model_->forward(image, true);
    if (!deep_) outputs.resize(1);
    return outputs;
  }
  Segmenter& model() { return *model_; }

 private:
  bool deep_;
  std::shared_ptr<Segmenter> model_;
};

void require_fitting(const NetworkInput& input, const CotrConfig& config) {
  require_multiples("CoTr", input.patch, kCotrDivisors,
                    "the first convolution halves H and W, each of the three layers halves all axes");
  if (config.style.norm == "IN" && input.patch == kCotrDivisors)
    throw UserError("patch " + Json(input.patch).dump() +
                    " does not fit CoTr: instance normalisation needs more than one voxel at the coarsest level; "
                    "double an axis or choose norm_cfg BN");
}

}  // namespace

CotrConfig cotr_config(const Json& options) {
  CotrConfig config;
  const bool standardised = options.at("weight_std");
  config.style = {options.at("norm_cfg"), options.at("activation_cfg"), standardised, /*unbiased=*/standardised};
  const auto widths = integers_of(options, "backbone_widths", 2);
  const std::int64_t width = options.at("d_model");
  config.widths = {widths[0], widths[1], width, width};
  config.transformer.width = width, config.transformer.heads = options.at("nhead");
  config.transformer.points = options.at("enc_n_points"), config.transformer.layers = options.at("num_encoder_layers");
  config.transformer.hidden = options.at("dim_feedforward"), config.transformer.dropout = options.at("dropout");
  config.transformer.activation = options.at("activation") == "gelu" ? "GELU" : "ReLU";
  config.deep_supervision = options.at("deep_supervision");
  return config;
}

std::shared_ptr<Network> build_cotr(const NetworkInput& input, const CotrConfig& config, std::uint64_t seed) {
  require_fitting(input, config);
  auto network = std::make_shared<Cotr>(input, config);
  const torch::NoGradGuard no_grad;
  const ParameterRandom random(seed);
  initialise_as_pytorch(*network, random);
  for_each_layer<Convolution>(*network, [&](Convolution& convolution, const std::string& name) {
    kaiming_normal(convolution.weight, random, name + ".weight", fan_out(convolution.weight));
  });
  network->model().transformer().initialise(random, "U_ResTran3D.encoder_Detrans");
  return network;
}

}  // namespace m3d
