#include "architectures/ulike/ulike_network.h"

#include <cmath>

#include "architectures/blocks/channels_last.h"
#include "architectures/blocks/linear_interpolation.h"
#include "architectures/blocks/published_order.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr const char* kHalvings = "the stem halves H and W, each of the four encoder stages halves all axes";

Grid halved(const Grid& grid) { return {(grid[0] + 1) / 2, (grid[1] + 1) / 2, (grid[2] + 1) / 2}; }

torch::Tensor upsampled(const torch::Tensor& volume, const Grid& size) {
  return resized_linear(volume, size, /*align_corners=*/false);
}

/// `name` with the stage's number, counted from `first`.
std::string numbered(const std::string& name, std::size_t index, int first) {
  return name + std::to_string(static_cast<int>(index) + first);
}

class Encoder : public torch::nn::Module {
 public:
  Encoder(const NetworkInput& input, const UlikeConfig& config);
  /// The stem's output and each stage's, finest first.
  std::vector<torch::Tensor> forward(const torch::Tensor& image);
  const std::vector<Grid>& grids() const { return grids_; }

 private:
  void register_embeddings(const UlikeConfig& config);
  void register_mixers(const UlikeConfig& config);
  std::vector<Grid> grids_;  // of the four stages
  std::vector<torch::Tensor> positions_;
  std::shared_ptr<ConvolutionBlock> stem_;
  std::vector<UlikeStage> stages_;
};

Encoder::Encoder(const NetworkInput& input, const UlikeConfig& config) : stages_(4) {
  Grid grid{input.patch[0], (input.patch[1] + 1) / 2, (input.patch[2] + 1) / 2};
  for (std::size_t i = 0; i < 4; ++i) {
    grids_.push_back(grid = halved(grid));
    positions_.push_back(
        register_parameter(numbered("pos_embed", i, 1), new_parameter({1, voxels(grid), config.encoder_widths[i]})));
  }
  auto stem = cubic_convolution(input.channels, config.decoder_widths[3], 7, 2, false);
  stem.stride = {1, 2, 2};
  stem_ = register_module("patch_embed0", std::make_shared<ConvolutionBlock>(stem, config.style));
  register_embeddings(config);
  register_mixers(config);
}

void Encoder::register_embeddings(const UlikeConfig& config) {
  for (std::size_t i = 0; i < 4; ++i) {
    const std::int64_t in = i == 0 ? config.decoder_widths[3] : config.encoder_widths[i - 1];
    for (const auto kernel : config.patch_kernels) {
      const std::string scale = config.patch_kernels.size() > 1 ? "_k" + std::to_string(kernel) : "";
      stages_[i].embeddings.push_back(register_module(
          numbered("patch_embed", i, 1) + scale,
          std::make_shared<PatchEmbedding>(cubic_convolution(in, config.encoder_widths[i], kernel, 2, false),
                                           config.style, config.more_conv_en ? 1 : 0)));
    }
  }
}

void Encoder::register_mixers(const UlikeConfig& config) {
  const std::size_t stacks = config.mixer_per_kernel ? config.patch_kernels.size() : 1;
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t s = 0; s < stacks; ++s) {
      const std::int64_t width = config.encoder_widths[i];
      const AttentionShape attention{width, config.encoder_heads[i], config.encoder_reductions[i],
                                     config.encoder_qkv_bias};
      const auto stack = make_mixers(config.encoder_kinds[i], config.mixer_for(config.encoder_mixer, width), attention,
                                     config.mlp_ratio, config.encoder_norm_eps, config.encoder_depths[i]);
      const std::string scale = stacks > 1 ? "_k" + std::to_string(config.patch_kernels[s]) : "";
      if (stack) stages_[i].mixers.push_back(register_module(numbered("block", i, 1) + scale, stack));
    }
}

std::vector<torch::Tensor> Encoder::forward(const torch::Tensor& image) {
  std::vector<torch::Tensor> levels{stem_->forward(image)};
  for (std::size_t i = 0; i < 4; ++i) levels.push_back(stages_[i].forward(levels.back(), positions_[i]));
  return levels;
}

class Segmenter : public torch::nn::Module {
 public:
  Segmenter(const NetworkInput& input, const UlikeConfig& config);
  /// Full resolution first; with `coarser`, then the other heads in descending resolution.
  std::vector<torch::Tensor> forward(const torch::Tensor& image, bool coarser);

 private:
  void register_decoder(const UlikeConfig& config);
  void register_heads(const NetworkInput& input, const UlikeConfig& config);
  torch::Tensor decode(std::size_t stage, const torch::Tensor& volume, const torch::Tensor& skip);
  torch::Tensor full_resolution(const torch::Tensor& volume);

  std::vector<torch::Tensor> positions_;
  std::shared_ptr<Encoder> transformer_;
  std::vector<std::shared_ptr<TransposedUp>> transposed_;
  std::vector<std::shared_ptr<TrilinearUp>> trilinear_;
  std::vector<std::shared_ptr<TokenStack>> mixers_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Convolution> last_up_, head_;
  std::shared_ptr<ConvolutionBlock> last_block_;
  std::vector<std::shared_ptr<Convolution>> coarse_heads_;  // ds0 (coarsest) to ds3
};

Segmenter::Segmenter(const NetworkInput& input, const UlikeConfig& config) {
  const auto encoder = std::make_shared<Encoder>(input, config);
  for (std::size_t i = 0; i < 3; ++i)
    positions_.push_back(register_parameter(
        numbered("DecPosEmbed", i, 0), new_parameter({1, voxels(encoder->grids()[2 - i]), config.decoder_widths[i]})));
  transformer_ = register_module("transformer", encoder);
  register_decoder(config);
  register_heads(input, config);
}

void Segmenter::register_decoder(const UlikeConfig& config) {
  const auto& widths = config.decoder_widths;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t in = i == 0 ? config.encoder_widths[3] : widths[i - 1];
    const std::string name = numbered("DecEmbed", i, 0);
    // The released code builds these blocks without passing its norm and activation on: they keep IN and LeakyReLU.
    if (config.released_decoder)
      trilinear_.push_back(
          register_module(name, std::make_shared<TrilinearUp>(in, widths[i], widths[i], ConvolutionStyle{})));
    else
      transposed_.push_back(register_module(
          name, std::make_shared<TransposedUp>(in, widths[i], Grid{2, 2, 2}, config.more_conv_de, ConvolutionStyle{})));
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const AttentionShape attention{widths[i], config.decoder_heads[i], config.decoder_reductions[i],
                                   config.decoder_qkv_bias};
    mixers_.push_back(make_mixers(config.decoder_kinds[i], config.mixer_for(config.decoder_mixer, widths[i]), attention,
                                  config.mlp_ratio, config.decoder_norm_eps, config.decoder_depths[i]));
    if (mixers_[i]) register_module(numbered("Decblock", i, 0), mixers_[i]);
  }
}

void Segmenter::register_heads(const NetworkInput& input, const UlikeConfig& config) {
  const auto& widths = config.decoder_widths;
  norm_ = register_module("norm", std::make_shared<LayerNorm>(widths[2], config.decoder_norm_eps));
  auto up = cubic_convolution(widths[2], widths[3], 2, 2, true);
  up.padding.fill(0), up.transposed = true;
  last_up_ = register_module("transposeconv_stage3", std::make_shared<Convolution>(up));
  last_block_ = register_module("stage3_de", std::make_shared<ConvolutionBlock>(
                                                 cubic_convolution(widths[3], widths[3], 3, 1, false), config.style));
  for (std::size_t i = 0; i < 4; ++i)
    coarse_heads_.push_back(
        register_module("ds" + std::to_string(i) + "_cls_conv",
                        std::make_shared<Convolution>(cubic_convolution(widths[i], input.classes, 1, 1, true))));
  head_ = register_module("cls_conv",
                          std::make_shared<Convolution>(cubic_convolution(widths[3], input.classes, 1, 1, true)));
}

torch::Tensor Segmenter::decode(std::size_t stage, const torch::Tensor& volume, const torch::Tensor& skip) {
  // A sum has its first term's strides: a skip lies in channels-last, what oneDNN's transposed convolution gives does
  // not.
  const auto joined =
      trilinear_.empty() ? skip + transposed_[stage]->forward(volume) : trilinear_[stage]->forward(volume, skip);
  auto tokens = tokens_of(joined) + positions_[stage];
  if (mixers_[stage]) tokens = mixers_[stage]->forward(tokens, grid_of(joined));
  if (stage == 2) tokens = norm_->forward(tokens);
  return volume_of(tokens, grid_of(joined));
}

std::vector<torch::Tensor> Segmenter::forward(const torch::Tensor& image, bool coarser) {
  const auto levels = transformer_->forward(in_channels_last(image));
  std::vector<torch::Tensor> coarse;
  auto x = levels[4];
  for (std::size_t i = 0; i < 3; ++i) {
    x = decode(i, x, levels[3 - i]);
    if (coarser) coarse.insert(coarse.begin(), coarse_heads_[i]->forward(x));
  }
  x = last_block_->forward(levels[0] + last_up_->forward(x));
  if (coarser) coarse.insert(coarse.begin(), coarse_heads_[3]->forward(x));
  coarse.insert(coarse.begin(), full_resolution(x));
  return coarse;
}

/// The head of the upsampled volume [B, C, D, H/2, W/2]. It mixes channels and interpolation mixes voxels, with weights
/// that sum to one: they may change places, and the head has a quarter of the voxels to do before.
torch::Tensor Segmenter::full_resolution(const torch::Tensor& volume) {
  const Grid half = grid_of(volume), full{half[0], 2 * half[1], 2 * half[2]};
  const bool head_first = head_->shape.out <= head_->shape.in && !PublishedOrder::wanted();
  return head_first ? upsampled(head_->forward(volume), full) : head_->forward(upsampled(volume, full));
}

class UlikeNetwork : public Network {
 public:
  UlikeNetwork(const NetworkInput& input, const UlikeConfig& config)
      : deep_(config.deep_supervision), released_heads_(config.released_heads), input_(input) {
    model_ = register_module("model", std::make_shared<Segmenter>(input, config));
  }

  std::vector<torch::Tensor> forward(const torch::Tensor& image) override {
    require_patch(image);
    auto outputs = model_->forward(image, deep_ && is_training());
    if (outputs.size() > 1 && released_heads_) outputs.pop_back();
    return outputs;
  }

  std::vector<torch::Tensor> forward_all(const torch::Tensor& image) override {
    require_patch(image);
    auto outputs = model_->forward(image, true);
    if (!deep_) outputs.resize(1);
    return outputs;
  }

 private:
  /// Position embeddings have the size of the patch that the network was built for.
  void require_patch(const torch::Tensor& image) const {
    const auto& patch = input_.patch;
    if (image.dim() == 5 && image.size(1) == input_.channels && grid_of(image) == patch) return;
    throw UserError("this Ulike network takes images [B, " + std::to_string(input_.channels) + ", " +
                    std::to_string(patch[0]) + ", " + std::to_string(patch[1]) + ", " + std::to_string(patch[2]) +
                    "], got " + Json(image.sizes().vec()).dump() + "; build it for that patch");
  }

  bool deep_, released_heads_;
  NetworkInput input_;
  std::shared_ptr<Segmenter> model_;
};

void require_fitting(const NetworkInput& input, const UlikeConfig& config) {
  const auto divisors = ulike_divisors(config.released_decoder);
  Grid grid{input.patch[0], input.patch[1] / 2, input.patch[2] / 2};
  bool fits = true;
  for (int axis = 0; axis < 3; ++axis) fits = fits && input.patch[axis] > 0 && input.patch[axis] % divisors[axis] == 0;
  for (int stage = 0; stage < 4; ++stage) grid = halved(grid);
  if (fits && (voxels(grid) > 1 || config.style.norm != "IN")) return;
  const Json patch = input.patch, multiples = divisors;
  throw UserError("patch " + patch.dump() + " does not fit a Ulike network: [D, H, W] must be multiples of " +
                  multiples.dump() +
                  (fits ? " and leave more than one voxel for instance normalisation at the coarsest stage" : "") +
                  " (" + kHalvings + ")");
}

}  // namespace

torch::Tensor UlikeStage::forward(const torch::Tensor& volume, const torch::Tensor& position) const {
  const auto placed = [&](const torch::Tensor& tokens) { return position.defined() ? tokens + position : tokens; };
  torch::Tensor sum;
  Grid grid{};
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    const auto embedded = embeddings[i]->forward(volume);
    grid = grid_of(embedded);
    auto tokens = tokens_of(embedded);
    if (mixers.size() > 1) tokens = mixers[i]->forward(placed(tokens), grid);
    sum = sum.defined() ? sum + tokens : tokens;
  }
  if (mixers.size() < 2) sum = placed(sum);
  if (mixers.size() == 1) sum = mixers[0]->forward(sum, grid);
  return volume_of(sum, grid);
}

TrilinearUp::TrilinearUp(std::int64_t in, std::int64_t skip, std::int64_t out, const ConvolutionStyle& style) {
  match_ =
      register_module("conv_channel_matcher", std::make_shared<Convolution>(cubic_convolution(in, skip, 1, 1, true)));
  out_ =
      register_module("conv_out", std::make_shared<ConvolutionBlock>(cubic_convolution(skip, out, 3, 1, false), style));
}

torch::Tensor TrilinearUp::forward(const torch::Tensor& volume, const torch::Tensor& skip) {
  const Grid grid = grid_of(volume), wanted = grid_of(skip), twice{2 * grid[0], 2 * grid[1], 2 * grid[2]};
  auto x = match_->forward(upsampled(volume, twice));
  if (twice != wanted) x = upsampled(x, wanted);
  return out_->forward(x + skip);
}

TransposedUp::TransposedUp(std::int64_t in, std::int64_t out, const Grid& factor, bool more_convolution,
                           const ConvolutionStyle& style) {
  ConvolutionShape shape;
  shape.in = in, shape.out = out, shape.kernel = factor, shape.stride = factor, shape.transposed = true;
  proj_ = register_module("proj", std::make_shared<Convolution>(shape));
  if (more_convolution)
    proj1_ =
        register_module("proj1", std::make_shared<ConvolutionBlock>(cubic_convolution(out, out, 3, 1, false), style));
}

torch::Tensor TransposedUp::forward(const torch::Tensor& volume) {
  const auto up = proj_->forward(volume);
  return proj1_ ? proj1_->forward(up) : up;
}

std::shared_ptr<TokenStack> make_mixers(char kind, const TokenMixerShape& mamba, const AttentionShape& attention,
                                        double mlp_ratio, double norm_eps, std::int64_t depth) {
  if (kind == 'M') return std::make_shared<MambaStack>(mamba, depth);
  if (kind == 'T') return std::make_shared<TransformerStack>(attention, mlp_ratio, norm_eps, depth);
  return nullptr;
}

std::array<std::int64_t, 3> ulike_divisors(bool released_decoder) {
  // The trilinear decoder resizes to its skips' sizes; only the last step, which is transposed, must meet its exactly.
  if (released_decoder) return {2, 4, 4};
  return {16, 32, 32};
}

std::shared_ptr<Network> build_ulike(const NetworkInput& input, const UlikeConfig& config, std::uint64_t seed) {
  require_fitting(input, config);
  auto network = std::make_shared<UlikeNetwork>(input, config);
  initialise_ulike(*network, seed, config.initialise_dt);
  return network;
}

}  // namespace m3d
