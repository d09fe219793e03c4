#include "architectures/swin_unet/swin_unet_network.h"

#include "architectures/blocks/initialise.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr std::size_t kStages = 4;
constexpr double kNormEps = 1e-5;
constexpr double kStd = 0.02;

std::shared_ptr<LayerNorm> layer_norm(std::int64_t channels) { return std::make_shared<LayerNorm>(channels, kNormEps); }

/// Strided convolution and norm; image [B, C, H, W] → tokens [B, L, embed_dim].
class PatchTokens : public torch::nn::Module {
 public:
  explicit PatchTokens(const SwinUnetConfig& config) {
    ConvolutionShape shape;
    shape.in = config.in_channels, shape.out = config.embed_dim, shape.dimensions = 2;
    shape.kernel.fill(config.patch_size), shape.stride.fill(config.patch_size);
    proj_ = register_module("proj", std::make_shared<Convolution>(shape));
    if (config.patch_norm) norm_ = register_module("norm", layer_norm(config.embed_dim));
  }
  torch::Tensor forward(const torch::Tensor& slices) const {
    const auto tokens = tokens_of(proj_->forward(slices));
    return norm_ ? norm_->forward(tokens) : tokens;
  }

 private:
  std::shared_ptr<Convolution> proj_;
  std::shared_ptr<LayerNorm> norm_;
};

/// Projects a token to scale^2 tokens of `out` channels, which fill a square; children expand (without bias) and norm.
class PatchExpand : public torch::nn::Module {
 public:
  PatchExpand(std::int64_t dim, std::int64_t scale, std::int64_t out) : scale_(scale) {
    expand_ = register_module("expand", std::make_shared<Linear>(dim, scale * scale * out, false));
    norm_ = register_module("norm", layer_norm(out));
  }
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid) const {
    const auto square = expand_->forward(tokens).view({tokens.size(0), grid[1], grid[2], scale_, scale_, -1});
    return norm_->forward(square.transpose(2, 3).flatten(1, 4));
  }

 private:
  std::int64_t scale_;
  std::shared_ptr<Linear> expand_;
  std::shared_ptr<LayerNorm> norm_;
};

/// layers.<i> and, from the second on, layers_up.<i>: blocks, then the change of resolution, where there is one.
class SwinUnetStage : public torch::nn::Module {
 public:
  enum class Then { merge, expand, nothing };
  SwinUnetStage(const SwinUnetConfig& config, std::size_t stage, const Grid& grid, Then then) : grid_(grid) {
    WindowBlockShape shape = config.block;
    const std::int64_t width = shape.attention.dim = config.width(stage);
    shape.attention.heads = config.num_heads[stage];
    const auto drop_paths = rising_rates(config.drop_path_rate, config.depths)[stage];
    blocks_ = register_module("blocks", std::make_shared<WindowBlocks>(alternating_blocks(shape, drop_paths), grid));
    if (then == Then::merge)
      merge_ = register_module("downsample", std::make_shared<PatchMerging>(width, square_offsets()));
    if (then == Then::expand) expand_ = register_module("upsample", std::make_shared<PatchExpand>(width, 2, width / 2));
  }
  torch::Tensor forward(const torch::Tensor& tokens) const {
    const auto mixed = blocks_->forward(tokens, grid_);
    return merge_ ? merge_->forward(mixed, grid_) : expand_ ? expand_->forward(mixed, grid_) : mixed;
  }

 private:
  Grid grid_;
  std::shared_ptr<WindowBlocks> blocks_;
  std::shared_ptr<PatchMerging> merge_;
  std::shared_ptr<PatchExpand> expand_;
};

class SwinUnet : public SliceNetwork {
 public:
  SwinUnet(const NetworkInput& input, const SwinUnetConfig& config);
  std::vector<torch::Tensor> forward_slices(const torch::Tensor& slices, bool coarser) override;

 private:
  void register_encoder();
  void register_decoder();
  torch::Tensor embedded(const torch::Tensor& slices) const;
  void require_size(const torch::Tensor& slices) const;

  NetworkInput input_;
  SwinUnetConfig config_;
  torch::Tensor position_;
  std::shared_ptr<PatchTokens> patch_embed_;
  std::shared_ptr<Dropout> pos_drop_;
  std::vector<std::shared_ptr<SwinUnetStage>> layers_, layers_up_;  // layers_up_ begins with the second
  std::shared_ptr<PatchExpand> first_up_, up_;
  std::vector<std::shared_ptr<Linear>> concat_back_dim_;
  std::shared_ptr<LayerNorm> norm_, norm_up_;
  std::shared_ptr<Convolution> output_;
};

SwinUnet::SwinUnet(const NetworkInput& input, const SwinUnetConfig& config) : input_(input), config_(config) {
  if (config.ape)
    position_ =
        register_parameter("absolute_pos_embed", new_parameter({1, voxels(config.grid(input, 0)), config.embed_dim}));
  register_encoder();
  register_decoder();
  norm_ = register_module("norm", layer_norm(config.width(kStages - 1)));
  norm_up_ = register_module("norm_up", layer_norm(config.embed_dim));
  up_ = register_module("up", std::make_shared<PatchExpand>(config.embed_dim, config.final_scale, config.embed_dim));
  ConvolutionShape head;
  head.in = config.embed_dim, head.out = config.classes, head.dimensions = 2, head.bias = false;
  output_ = register_module("output", std::make_shared<Convolution>(head));
}

void SwinUnet::register_encoder() {
  using Then = SwinUnetStage::Then;
  patch_embed_ = register_module("patch_embed", std::make_shared<PatchTokens>(config_));
  pos_drop_ = register_module("pos_drop", std::make_shared<Dropout>(config_.drop_rate));
  const auto layers = register_module("layers", std::make_shared<torch::nn::Module>());
  for (std::size_t stage = 0; stage < kStages; ++stage)
    layers_.push_back(layers->register_module(
        std::to_string(stage), std::make_shared<SwinUnetStage>(config_, stage, config_.grid(input_, stage),
                                                               stage + 1 < kStages ? Then::merge : Then::nothing)));
}

void SwinUnet::register_decoder() {
  using Then = SwinUnetStage::Then;
  const auto layers = register_module("layers_up", std::make_shared<torch::nn::Module>());
  const auto projections = register_module("concat_back_dim", std::make_shared<torch::nn::Module>());
  const std::int64_t deepest = config_.width(kStages - 1);
  first_up_ = layers->register_module("0", std::make_shared<PatchExpand>(deepest, 2, deepest / 2));
  for (std::size_t i = 1; i < kStages; ++i) {
    const std::size_t stage = kStages - 1 - i;
    const std::int64_t width = config_.width(stage);
    concat_back_dim_.push_back(
        projections->register_module(std::to_string(i), std::make_shared<Linear>(2 * width, width, true)));
    layers_up_.push_back(layers->register_module(
        std::to_string(i), std::make_shared<SwinUnetStage>(config_, stage, config_.grid(input_, stage),
                                                           stage > 0 ? Then::expand : Then::nothing)));
  }
}

/// Position embeddings and masks have the size of the patch that the network was built for.
void SwinUnet::require_size(const torch::Tensor& slices) const {
  const auto& patch = input_.patch;
  if (slices.size(1) == input_.channels && slices.size(2) == patch[1] && slices.size(3) == patch[2]) return;
  throw UserError("this Swin-Unet takes slices [B, " + std::to_string(input_.channels) + ", " +
                  std::to_string(patch[1]) + ", " + std::to_string(patch[2]) + "], got " +
                  Json(slices.sizes().vec()).dump() + "; build it for that size");
}

torch::Tensor SwinUnet::embedded(const torch::Tensor& slices) const {
  const auto image = slices.expand({-1, config_.in_channels, -1, -1}).contiguous(torch::MemoryFormat::ChannelsLast);
  const auto tokens = patch_embed_->forward(image);
  return pos_drop_->forward(position_.defined() ? tokens + position_ : tokens);
}

std::vector<torch::Tensor> SwinUnet::forward_slices(const torch::Tensor& slices, bool /*coarser*/) {
  require_size(slices);
  auto x = embedded(slices);
  std::vector<torch::Tensor> skips;
  for (const auto& layer : layers_) {
    skips.push_back(x);
    x = layer->forward(x);
  }
  x = first_up_->forward(norm_->forward(x), config_.grid(input_, kStages - 1));
  for (std::size_t i = 0; i < layers_up_.size(); ++i) {
    const auto joined = torch::cat({x, skips[kStages - 2 - i]}, -1);
    x = layers_up_[i]->forward(concat_back_dim_[i]->forward(joined));
  }
  const Grid grid = config_.grid(input_, 0), full{1, grid[1] * config_.final_scale, grid[2] * config_.final_scale};
  x = up_->forward(norm_up_->forward(x), grid);
  return {output_->forward(volume_of(x, full).squeeze(2))};
}

void initialise_swin_unet(torch::nn::Module& network, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  const ParameterRandom random(seed);
  initialise_window_network(network, random);
  for_each_layer<Linear>(network, [&](Linear& linear, const std::string& name) {
    random.truncated_normal(linear.weight, name + ".weight", kStd);
    if (linear.bias.defined()) linear.bias.zero_();
  });
  auto parameters = network.named_parameters(/*recurse=*/false);
  for (auto& parameter : parameters) random.truncated_normal(parameter.value(), parameter.key(), kStd);
}

void require_fitting(const NetworkInput& input, const SwinUnetConfig& config) {
  const std::int64_t step = config.patch_size << (kStages - 1);
  bool fits = input.patch[1] > 0 && input.patch[2] > 0 && input.patch[1] % step == 0 && input.patch[2] % step == 0;
  for (std::size_t stage = 0; fits && stage < kStages; ++stage) {
    const Grid grid = config.grid(input, stage);
    fits = fit_windows(config.block.windows, grid).padded == grid;
  }
  if (fits) return;
  const Json patch = input.patch;
  const std::int64_t window = config.block.windows.size[2];
  throw UserError("patch " + patch.dump() + " does not fit Swin-Unet: H and W must be multiples of " +
                  std::to_string(step) + ", and every stage's tokens must fill windows of " + std::to_string(window) +
                  " x " + std::to_string(window) + "; multiples of " + std::to_string(step * window) + " always do");
}

}  // namespace

std::array<std::int64_t, 3> swin_unet_divisors(const SwinUnetConfig& config) {
  const std::int64_t step = (config.patch_size << (kStages - 1)) * config.block.windows.size[2];
  return {1, step, step};
}

std::shared_ptr<Network> build_swin_unet(const NetworkInput& input, const SwinUnetConfig& config, std::uint64_t seed) {
  require_fitting(input, config);
  auto network = std::make_shared<SwinUnet>(input, config);
  initialise_swin_unet(*network, seed);
  return network;
}

}  // namespace m3d
