#include "architectures/missformer/missformer_parts.h"

namespace m3d {
namespace {

constexpr double kNormEps = 1e-5;
constexpr std::array<std::int64_t, 3> kBridgeReductions{8, 4, 2};  // of the three finer levels

/// Bridge tokens of each level: a pixel of C channels is C / width tokens.
std::vector<std::int64_t> level_lengths(const std::vector<Grid>& grids) {
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 0; i < grids.size(); ++i) lengths.push_back(voxels(grids[i]) * kMissformerWidths[i]);
  return lengths;
}

/// The levels of bridge tokens [B, N, width], each as [B, L, C]: views.
std::vector<torch::Tensor> levels_of(const torch::Tensor& tokens, const std::vector<Grid>& grids) {
  auto levels = tokens.split_with_sizes(level_lengths(grids), 1);
  for (std::size_t i = 0; i < grids.size(); ++i) levels[i] = levels[i].reshape({tokens.size(0), voxels(grids[i]), -1});
  return levels;
}

/// The levels as bridge tokens, one after the other.
torch::Tensor joined(const std::vector<torch::Tensor>& levels, std::int64_t width) {
  std::vector<torch::Tensor> tokens;
  for (const auto& level : levels) tokens.push_back(level.reshape({level.size(0), -1, width}));
  return torch::cat(tokens, 1);
}

}  // namespace

BridgeAttention::BridgeAttention(std::int64_t width) : width_(width) {
  q_ = register_module("q", std::make_shared<Linear>(width, width, true));
  kv_ = register_module("kv", std::make_shared<Linear>(width, 2 * width, true));
  proj_ = register_module("proj", std::make_shared<Linear>(width, width, true));
  const auto reduce = register_module("scale_reduce", std::make_shared<torch::nn::Module>("ScaleReduce"));
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t channels = width * kMissformerWidths[i];
    auto shape = cubic_convolution(channels, channels, kBridgeReductions[i], kBridgeReductions[i], true);
    shape.padding.fill(0), shape.dimensions = 2;
    reductions_[i] = reduce->register_module("sr" + std::to_string(i), std::make_shared<Convolution>(shape));
  }
  norm_ = reduce->register_module("norm", std::make_shared<LayerNorm>(width, kNormEps));
}

torch::Tensor BridgeAttention::reduced(const torch::Tensor& tokens, const std::vector<Grid>& grids) {
  const auto levels = levels_of(tokens, grids);
  std::vector<torch::Tensor> keys;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto map = reductions_[i]->forward(volume_of(levels[i], grids[i]).squeeze(2));
    // A pixel's tokens: channel c of token t is the map's channel c * tokens + t, and t is the outermost position.
    keys.push_back(
        map.unflatten(1, {width_, kMissformerWidths[i]}).permute({0, 2, 3, 4, 1}).reshape({map.size(0), -1, width_}));
  }
  keys.push_back(levels[3].reshape({tokens.size(0), -1, width_}));
  return norm_->forward(torch::cat(keys, 1));
}

torch::Tensor BridgeAttention::forward(const torch::Tensor& tokens, const std::vector<Grid>& grids) {
  const auto kv = kv_->forward(reduced(tokens, grids)).unsqueeze(1).chunk(2, -1);
  const auto query = q_->forward(tokens).unsqueeze(1);
  return proj_->forward(torch::scaled_dot_product_attention(query, kv[0], kv[1]).squeeze(1));
}

BridgeLayer::BridgeLayer(std::int64_t width, MixMlp mlp) {
  norm1_ = register_module("norm1", std::make_shared<LayerNorm>(width, kNormEps));
  attn_ = register_module("attn", std::make_shared<BridgeAttention>(width));
  norm2_ = register_module("norm2", std::make_shared<LayerNorm>(width, kNormEps));
  for (std::size_t i = 0; i < 4; ++i) {
    const std::int64_t channels = width * kMissformerWidths[i];
    mlps_[i] = register_module("mixffn" + std::to_string(i + 1),
                               std::make_shared<MixFeedForward>(channels, 4 * channels, mlp, 2));
  }
}

torch::Tensor BridgeLayer::forward(torch::Tensor tokens, const std::vector<Grid>& grids) {
  tokens = tokens + attn_->forward(norm1_->forward(tokens), grids);
  auto levels = levels_of(norm2_->forward(tokens), grids);
  for (std::size_t i = 0; i < 4; ++i) levels[i] = mlps_[i]->forward(levels[i], grids[i]);
  return tokens + joined(levels, tokens.size(2));
}

Bridge::Bridge(std::int64_t width, MixMlp mlp) : width_(width) {
  for (int i = 1; i <= 4; ++i)
    layers_.push_back(register_module("bridge_layer" + std::to_string(i), std::make_shared<BridgeLayer>(width, mlp)));
}

std::vector<torch::Tensor> Bridge::forward(const std::vector<std::pair<torch::Tensor, Grid>>& levels) {
  std::vector<torch::Tensor> stages;
  std::vector<Grid> grids;
  for (const auto& [tokens, grid] : levels) stages.push_back(tokens), grids.push_back(grid);
  auto tokens = joined(stages, width_);
  for (auto& layer : layers_) tokens = layer->forward(tokens, grids);
  return levels_of(tokens, grids);
}

MissformerDecoder::MissformerDecoder(const MissformerDecoderShape& shape) : factor_(shape.classes > 0 ? 4 : 2) {
  const std::int64_t width = shape.width;
  concat_linear_ = register_module("concat_linear", std::make_shared<Linear>(shape.joined, width, true));
  const auto up = register_module("layer_up", std::make_shared<torch::nn::Module>("PatchExpand"));
  const bool last = shape.classes > 0;
  expand_ = up->register_module("expand", std::make_shared<Linear>(width, last ? 16 * width : 2 * width, false));
  expand_norm_ = up->register_module("norm", std::make_shared<LayerNorm>(last ? width : width / 2, kNormEps));
  if (last) {
    auto classify = cubic_convolution(width, shape.classes, 1, 1, true);
    classify.dimensions = 2;
    last_layer_ = register_module("last_layer", std::make_shared<Convolution>(classify));
  }
  AttentionShape attention{width, shape.heads, shape.reduction, /*qkv_bias=*/true};
  attention.dimensions = 2;
  for (std::size_t i = 0; i < 2; ++i)
    blocks_[i] = register_module("layer_former_" + std::to_string(i + 1),
                                 std::make_shared<MixBlock>(attention, 4 * width, shape.mlp, "attn"));
}

torch::Tensor MissformerDecoder::expand(const torch::Tensor& tokens, const Grid& grid) {
  const std::int64_t batch = tokens.size(0), height = grid[1], width = grid[2];
  // [B, H, W, p, p, c] → [B, H, p, W, p, c]: each token becomes a square of them.
  return expand_norm_->forward(expand_->forward(tokens)
                                   .view({batch, height, width, factor_, factor_, -1})
                                   .permute({0, 1, 3, 2, 4, 5})
                                   .reshape({batch, height * width * factor_ * factor_, -1}));
}

torch::Tensor MissformerDecoder::forward(const torch::Tensor& up, const torch::Tensor& skip, const Grid& grid) {
  auto tokens = concat_linear_->forward(torch::cat({up, skip}, -1));
  for (auto& block : blocks_) tokens = block->forward(tokens, grid);
  tokens = expand(tokens, grid);
  if (!last_layer_) return tokens;
  return last_layer_->forward(volume_of(tokens, {1, factor_ * grid[1], factor_ * grid[2]}).squeeze(2));
}

}  // namespace m3d
