#include "architectures/swin_unetr/swin_unetr_network.h"

#include "architectures/blocks/initialise.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr std::size_t kStages = 4;
constexpr double kNormEps = 1e-5;
constexpr std::int64_t kPatch = 2, kStep = 32;  // voxels of a token, and of one of the last resolution

/// [B, L, C] → [B, C, D, H, W], or [B, C, H, W].
torch::Tensor spatial(const torch::Tensor& tokens, const Grid& grid, int dimensions) {
  const auto volume = volume_of(tokens, grid);
  return dimensions == 2 ? volume.squeeze(2) : volume;
}

/// Strided convolution, optionally a norm; image → tokens [B, L, feature_size].
class PatchTokens : public torch::nn::Module {
 public:
  explicit PatchTokens(const SwinUnetrConfig& config) {
    ConvolutionShape shape;
    shape.in = config.channels, shape.out = config.feature_size, shape.dimensions = config.dimensions;
    shape.kernel.fill(kPatch), shape.stride.fill(kPatch);
    proj_ = register_module("proj", std::make_shared<Convolution>(shape));
    if (config.patch_norm) norm_ = register_module("norm", std::make_shared<LayerNorm>(config.feature_size, kNormEps));
  }
  torch::Tensor forward(const torch::Tensor& image) const {
    const auto tokens = tokens_of(proj_->forward(image));
    return norm_ ? norm_->forward(tokens) : tokens;
  }

 private:
  std::shared_ptr<Convolution> proj_;
  std::shared_ptr<LayerNorm> norm_;
};

/// Window attention, then merging to half the resolution.
class SwinUnetrStage : public torch::nn::Module {
 public:
  SwinUnetrStage(const SwinUnetrConfig& config, std::size_t stage) {
    WindowBlockShape shape = config.block;
    shape.attention.dim = config.width(stage), shape.attention.heads = config.num_heads[stage];
    const auto rates = rising_rates(config.drop_path_rate, config.depths)[stage];
    blocks_ = register_module(
        "blocks", std::make_shared<WindowBlocks>(alternating_blocks(shape, rates), config.block.windows.size));
    downsample_ = register_module("downsample", std::make_shared<PatchMerging>(config.width(stage), config.merging));
  }
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid) const {
    return downsample_->forward(blocks_->forward(tokens, grid), grid);
  }
  Grid merged(const Grid& grid) const { return downsample_->merged(grid); }

 private:
  std::shared_ptr<WindowBlocks> blocks_;
  std::shared_ptr<PatchMerging> downsample_;
};

class SwinTransformer : public torch::nn::Module {
 public:
  explicit SwinTransformer(const SwinUnetrConfig& config);
  /// The embedded patches and the four stages' results, finest first, as the decoder sees them.
  std::vector<torch::Tensor> forward(const torch::Tensor& image) const;

 private:
  torch::Tensor hidden_state(const torch::Tensor& tokens, const Grid& grid) const;
  int dimensions_;
  bool normalize_;
  std::shared_ptr<PatchTokens> patch_embed_;
  std::shared_ptr<Dropout> pos_drop_;
  std::vector<std::shared_ptr<SwinUnetrStage>> stages_;
  std::vector<std::shared_ptr<UnetrBasicBlock>> convolutions_;  // of V2
};

SwinTransformer::SwinTransformer(const SwinUnetrConfig& config)
    : dimensions_(config.dimensions), normalize_(config.normalize) {
  patch_embed_ = register_module("patch_embed", std::make_shared<PatchTokens>(config));
  pos_drop_ = register_module("pos_drop", std::make_shared<Dropout>(config.drop_rate));
  const auto list = [this](std::size_t stage, const char* suffix) {
    return register_module("layers" + std::to_string(stage + 1) + suffix, std::make_shared<torch::nn::Module>());
  };
  for (std::size_t i = 0; i < kStages; ++i)
    stages_.push_back(list(i, "")->register_module("0", std::make_shared<SwinUnetrStage>(config, i)));
  UnetrStyle style;  // V2's blocks have instance norm, whatever the others have
  style.dimensions = config.dimensions;
  for (std::size_t i = 0; config.use_v2 && i < kStages; ++i) {
    const UnetrBlockShape shape{config.width(i), config.width(i)};
    convolutions_.push_back(list(i, "c")->register_module("0", std::make_shared<UnetrBasicBlock>(shape, style)));
  }
}

torch::Tensor SwinTransformer::hidden_state(const torch::Tensor& tokens, const Grid& grid) const {
  const auto state = normalize_ ? torch::layer_norm(tokens, {tokens.size(-1)}, {}, {}, kNormEps) : tokens;
  return spatial(state, grid, dimensions_);
}

std::vector<torch::Tensor> SwinTransformer::forward(const torch::Tensor& image) const {
  Grid grid = grid_of(image);
  for (int axis = 3 - dimensions_; axis < 3; ++axis) grid[axis] /= kPatch;
  auto tokens = pos_drop_->forward(patch_embed_->forward(image));
  std::vector<torch::Tensor> states{hidden_state(tokens, grid)};
  for (std::size_t i = 0; i < kStages; ++i) {
    if (!convolutions_.empty()) tokens = tokens_of(convolutions_[i]->forward(spatial(tokens, grid, dimensions_)));
    tokens = stages_[i]->forward(tokens, grid);
    grid = stages_[i]->merged(grid);
    states.push_back(hidden_state(tokens, grid));
  }
  return states;
}

class SwinUnetr : public SliceNetwork {
 public:
  explicit SwinUnetr(const SwinUnetrConfig& config);
  std::vector<torch::Tensor> forward_slices(const torch::Tensor& image, bool coarser) override;

 private:
  void require_size(const torch::Tensor& image) const;
  int dimensions_;
  std::shared_ptr<SwinTransformer> swin_;
  std::shared_ptr<UnetrBasicBlock> encoder1_, encoder2_, encoder3_, encoder4_, encoder10_;
  std::shared_ptr<UnetrUpBlock> decoder5_, decoder4_, decoder3_, decoder2_, decoder1_;
  std::shared_ptr<UnetOutBlock> out_;
};

SwinUnetr::SwinUnetr(const SwinUnetrConfig& config) : SliceNetwork(config.dimensions), dimensions_(config.dimensions) {
  UnetrStyle style;
  style.norm = config.norm, style.dimensions = config.dimensions;
  const auto encoder = [&](const char* name, std::int64_t in, std::int64_t out) {
    return register_module(name, std::make_shared<UnetrBasicBlock>(UnetrBlockShape{in, out}, style));
  };
  const auto decoder = [&](const char* name, std::int64_t in, std::int64_t out) {
    return register_module(name, std::make_shared<UnetrUpBlock>(UnetrBlockShape{in, out}, Grid{2, 2, 2}, style));
  };
  const std::int64_t width = config.feature_size;
  swin_ = register_module("swinViT", std::make_shared<SwinTransformer>(config));
  encoder1_ = encoder("encoder1", config.channels, width);
  encoder2_ = encoder("encoder2", width, width);
  encoder3_ = encoder("encoder3", 2 * width, 2 * width);
  encoder4_ = encoder("encoder4", 4 * width, 4 * width);
  encoder10_ = encoder("encoder10", 16 * width, 16 * width);
  decoder5_ = decoder("decoder5", 16 * width, 8 * width);
  decoder4_ = decoder("decoder4", 8 * width, 4 * width);
  decoder3_ = decoder("decoder3", 4 * width, 2 * width);
  decoder2_ = decoder("decoder2", 2 * width, width);
  decoder1_ = decoder("decoder1", width, width);
  out_ = register_module("out", std::make_shared<UnetOutBlock>(width, config.classes, config.dimensions));
}

void SwinUnetr::require_size(const torch::Tensor& image) const {
  for (std::int64_t axis = 2; axis < image.dim(); ++axis)
    if (image.size(axis) % kStep != 0)
      throw UserError("Swin UNETR takes images whose sizes are multiples of " + std::to_string(kStep) + ", got " +
                      Json(image.sizes().vec()).dump());
}

std::vector<torch::Tensor> SwinUnetr::forward_slices(const torch::Tensor& given, bool /*coarser*/) {
  require_size(given);
  const auto image =
      given.contiguous(dimensions_ == 2 ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::ChannelsLast3d);
  const auto states = swin_->forward(image);
  auto x = decoder5_->forward(encoder10_->forward(states[4]), states[3]);
  x = decoder4_->forward(x, encoder4_->forward(states[2]));
  x = decoder3_->forward(x, encoder3_->forward(states[1]));
  x = decoder2_->forward(x, encoder2_->forward(states[0]));
  x = decoder1_->forward(x, encoder1_->forward(image));
  return {out_->forward(x)};
}

void require_fitting(const NetworkInput& input, const SwinUnetrConfig& config) {
  bool fits = true;
  std::int64_t coarsest = 1;
  for (int axis = 3 - config.dimensions; axis < 3; ++axis) {
    fits = fits && input.patch[axis] > 0 && input.patch[axis] % kStep == 0;
    coarsest *= input.patch[axis] / kStep;
  }
  if (fits && (coarsest > 1 || config.norm.kind != "IN")) return;
  const Json patch = input.patch;
  throw UserError("patch " + patch.dump() + " does not fit Swin UNETR: " + (config.dimensions == 2 ? "" : "D, ") +
                  "H and W must be multiples of " + std::to_string(kStep) +
                  (fits ? ", and not all " + std::to_string(kStep) +
                              ": instance normalisation needs more than one voxel at the coarsest resolution"
                        : ""));
}

}  // namespace

std::shared_ptr<Network> build_swin_unetr(const NetworkInput& input, const SwinUnetrConfig& config,
                                          std::uint64_t seed) {
  require_fitting(input, config);
  auto network = std::make_shared<SwinUnetr>(config);
  initialise_window_network(*network, ParameterRandom(seed));
  return network;
}

}  // namespace m3d
