#include "architectures/nnformer/nnformer_network.h"

#include "architectures/blocks/initialise.h"
#include "common/error.h"

namespace m3d {
namespace {

std::shared_ptr<LayerNorm> layer_norm(std::int64_t channels) { return std::make_shared<LayerNorm>(channels, 1e-5); }

/// Over the channels of a volume.
torch::Tensor normed(const LayerNorm& norm, const torch::Tensor& volume) {
  return norm.forward(volume.movedim(1, -1)).movedim(-1, 1);
}

/// Strided convolution, GELU, norm, convolution; then, but for the last one, GELU and norm again.
class StemPart : public torch::nn::Module {
 public:
  StemPart(std::int64_t in, std::int64_t out, const Grid& stride, bool last) {
    auto first = cubic_convolution(in, out, 3, 1, true);
    first.stride = stride;
    conv1_ = register_module("conv1", std::make_shared<Convolution>(first));
    conv2_ = register_module("conv2", std::make_shared<Convolution>(cubic_convolution(out, out, 3, 1, true)));
    norm1_ = register_module("norm1", layer_norm(out));
    if (!last) norm2_ = register_module("norm2", layer_norm(out));
  }
  torch::Tensor forward(const torch::Tensor& volume) const {
    const auto x = conv2_->forward(normed(*norm1_, torch::gelu(conv1_->forward(volume))));
    return norm2_ ? normed(*norm2_, torch::gelu(x)) : x;
  }

 private:
  std::shared_ptr<Convolution> conv1_, conv2_;
  std::shared_ptr<LayerNorm> norm1_, norm2_;
};

/// Image → tokens [B, L, embedding_dim].
class Stem : public torch::nn::Module {
 public:
  explicit Stem(const NnFormerConfig& config) {
    const std::int64_t width = config.embedding_dim;
    proj1_ =
        register_module("proj1", std::make_shared<StemPart>(config.channels, width / 2, config.stem_strides[0], false));
    proj2_ = register_module("proj2", std::make_shared<StemPart>(width / 2, width, config.stem_strides[1], true));
    norm_ = register_module("norm", layer_norm(width));
  }
  torch::Tensor forward(const torch::Tensor& image) const {
    return norm_->forward(tokens_of(proj2_->forward(proj1_->forward(image))));
  }

 private:
  std::shared_ptr<StemPart> proj1_, proj2_;
  std::shared_ptr<LayerNorm> norm_;
};

/// GELU, norm, strided convolution that doubles the channels.
class StepDown : public torch::nn::Module {
 public:
  StepDown(std::int64_t dim, const NnFormerStep& step) {
    ConvolutionShape shape;
    shape.in = dim, shape.out = 2 * dim;
    shape.kernel = step.kernel, shape.stride = step.stride, shape.padding = step.padding;
    reduction_ = register_module("reduction", std::make_shared<Convolution>(shape));
    norm_ = register_module("norm", layer_norm(dim));
  }
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid) const {
    return tokens_of(reduction_->forward(volume_of(norm_->forward(torch::gelu(tokens)), grid)));
  }

 private:
  std::shared_ptr<Convolution> reduction_;
  std::shared_ptr<LayerNorm> norm_;
};

/// Norm, transposed convolution that halves the channels.
class StepUp : public torch::nn::Module {
 public:
  StepUp(std::int64_t dim, const NnFormerStep& step) {
    ConvolutionShape shape;
    shape.in = dim, shape.out = dim / 2, shape.transposed = true;
    shape.kernel = shape.stride = step.stride, shape.output_padding = step.output_padding;
    norm_ = register_module("norm", layer_norm(dim));
    up_ = register_module("up", std::make_shared<Convolution>(shape));
  }
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid) const {
    return tokens_of(up_->forward(volume_of(norm_->forward(tokens), grid)));
  }

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Convolution> up_;
};

WindowBlockShape block_of(const NnFormerConfig& config, std::size_t stage, std::int64_t heads) {
  WindowBlockShape shape = config.block;
  shape.attention.dim = config.width(stage), shape.attention.heads = heads;
  shape.windows.size = config.windows[stage];
  return shape;
}

class EncoderStage : public torch::nn::Module {
 public:
  EncoderStage(const NnFormerConfig& config, std::size_t stage) : grid_(config.grids[stage]) {
    const auto rates = rising_rates(config.drop_path_rate, config.depths)[stage];
    const auto shapes = alternating_blocks(block_of(config, stage, config.encoder_heads[stage]), rates);
    blocks_ = register_module("blocks", std::make_shared<WindowBlocks>(shapes, grid_));
    if (stage < config.steps.size())
      down_ = register_module("downsample", std::make_shared<StepDown>(config.width(stage), config.steps[stage]));
  }
  torch::Tensor forward(const torch::Tensor& tokens) const { return blocks_->forward(tokens, grid_); }
  torch::Tensor step_down(const torch::Tensor& tokens) const { return down_->forward(tokens, grid_); }

 private:
  Grid grid_;
  std::shared_ptr<WindowBlocks> blocks_;
  std::shared_ptr<StepDown> down_;
};

class Encoder : public torch::nn::Module {
 public:
  explicit Encoder(const NnFormerConfig& config) {
    stem_ = register_module("patch_embed", std::make_shared<Stem>(config));
    const auto layers = register_module("layers", std::make_shared<torch::nn::Module>());
    for (std::size_t i = 0; i < config.grids.size(); ++i)
      layers_.push_back(layers->register_module(std::to_string(i), std::make_shared<EncoderStage>(config, i)));
    for (std::size_t i = 0; i < config.grids.size(); ++i)
      norms_.push_back(register_module("norm" + std::to_string(i), layer_norm(config.width(i))));
  }
  /// The stages' normed tokens, finest first.
  std::vector<torch::Tensor> forward(const torch::Tensor& image) const {
    std::vector<torch::Tensor> levels;
    auto x = stem_->forward(image);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      x = layers_[i]->forward(x);
      levels.push_back(norms_[i]->forward(x));
      if (i + 1 < layers_.size()) x = layers_[i]->step_down(x);
    }
    return levels;
  }

 private:
  std::shared_ptr<Stem> stem_;
  std::vector<std::shared_ptr<EncoderStage>> layers_;
  std::vector<std::shared_ptr<LayerNorm>> norms_;
};

/// Up-sampled tokens ask the skip, whose keys and values the first block projects; all later blocks are shifted.
class DecoderStage : public torch::nn::Module {
 public:
  DecoderStage(const NnFormerConfig& config, std::size_t stage)
      : grid_(config.grids[stage]), coarse_(config.grids[stage + 1]) {
    // Rates rise from the coarsest of the decoder's stages to the finest.
    const std::vector<std::int64_t> depths(config.depths.rbegin() + 1, config.depths.rend());
    const auto rates = rising_rates(config.drop_path_rate, depths);
    std::vector<WindowBlockShape> shapes;
    for (const double rate : rates[depths.size() - 1 - stage]) {
      auto shape = block_of(config, stage, config.decoder_heads[stage]);
      shape.attention.projects_query = shape.windows.shifted = !shapes.empty();
      shape.drop_path = rate;
      shapes.push_back(shape);
    }
    blocks_ = register_module("blocks", std::make_shared<WindowBlocks>(shapes, grid_));
    up_ = register_module("Upsample", std::make_shared<StepUp>(config.width(stage + 1), config.steps[stage]));
  }
  torch::Tensor forward(const torch::Tensor& tokens, const torch::Tensor& skip) const {
    const auto up = up_->forward(tokens, coarse_);
    return blocks_->forward(blocks_->at(0).forward(up + skip, grid_, skip, up), grid_, 1);
  }

 private:
  Grid grid_, coarse_;
  std::shared_ptr<WindowBlocks> blocks_;
  std::shared_ptr<StepUp> up_;
};

class NnFormer : public Network {
 public:
  NnFormer(const NetworkInput& input, const NnFormerConfig& config);
  std::vector<torch::Tensor> forward(const torch::Tensor& image) override { return segmented(image, is_training()); }
  std::vector<torch::Tensor> forward_all(const torch::Tensor& image) override { return segmented(image, true); }

 private:
  std::vector<torch::Tensor> segmented(const torch::Tensor& image, bool coarser) const;
  void require_patch(const torch::Tensor& image) const;

  NetworkInput input_;
  std::array<Grid, 4> grids_;
  std::shared_ptr<Encoder> encoder_;
  std::vector<std::shared_ptr<DecoderStage>> decoder_;
  std::vector<std::shared_ptr<Convolution>> heads_;  // one without deep supervision
};

NnFormer::NnFormer(const NetworkInput& input, const NnFormerConfig& config) : input_(input), grids_(config.grids) {
  encoder_ = register_module("model_down", std::make_shared<Encoder>(config));
  const auto layers = register_module("decoder", std::make_shared<torch::nn::Module>())
                          ->register_module("layers", std::make_shared<torch::nn::Module>());
  const auto final = register_module("final", std::make_shared<torch::nn::Module>());
  for (std::size_t i = 0; i < config.steps.size(); ++i) {
    decoder_.push_back(layers->register_module(std::to_string(i), std::make_shared<DecoderStage>(config, i)));
    if (i > 0 && !config.deep_supervision) continue;
    ConvolutionShape head;
    head.in = config.width(i), head.out = config.classes, head.transposed = true;
    head.kernel = head.stride = config.patch_size;
    heads_.push_back(final->register_module(std::to_string(i), std::make_shared<torch::nn::Module>())
                         ->register_module("up", std::make_shared<Convolution>(head)));
  }
}

/// Which windows are shifted or masked follows from the patch that the network was built for.
void NnFormer::require_patch(const torch::Tensor& image) const {
  const auto& patch = input_.patch;
  if (image.dim() == 5 && image.size(1) == input_.channels && grid_of(image) == patch) return;
  throw UserError("this nnFormer takes images [B, " + std::to_string(input_.channels) + ", " +
                  std::to_string(patch[0]) + ", " + std::to_string(patch[1]) + ", " + std::to_string(patch[2]) +
                  "], got " + Json(image.sizes().vec()).dump() + "; build it for that patch");
}

std::vector<torch::Tensor> NnFormer::segmented(const torch::Tensor& image, bool coarser) const {
  require_patch(image);
  const auto levels = encoder_->forward(image.contiguous(torch::MemoryFormat::ChannelsLast3d));
  std::vector<torch::Tensor> outputs;
  auto x = levels.back();
  for (std::size_t i = decoder_.size(); i-- > 0;) {
    x = decoder_[i]->forward(x, levels[i]);
    if (i == 0 || (coarser && i < heads_.size()))
      outputs.insert(outputs.begin(), heads_[i]->forward(volume_of(x, grids_[i])));
  }
  return outputs;
}

}  // namespace

std::shared_ptr<Network> build_nnformer(const NetworkInput& input, const NnFormerConfig& config, std::uint64_t seed) {
  auto network = std::make_shared<NnFormer>(input, config);
  initialise_window_network(*network, ParameterRandom(seed));
  return network;
}

}  // namespace m3d
