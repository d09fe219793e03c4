#include "architectures/blocks/mix_transformer.h"

#include <stdexcept>

#include "common/error.h"

namespace m3d {
namespace {

constexpr double kNormEps = 1e-5;

std::shared_ptr<LayerNorm> layer_norm(std::int64_t channels) { return std::make_shared<LayerNorm>(channels, kNormEps); }

ConvolutionShape embedding_of(const MixStageShape& stage) {
  auto shape = cubic_convolution(stage.in, stage.attention.dim, stage.kernel, stage.stride, true);
  shape.padding.fill(stage.padding);
  shape.dimensions = stage.attention.dimensions;
  return shape;
}

/// Stage tokens as the volume (or slice) that the next embedding takes.
torch::Tensor next_volume(const torch::Tensor& tokens, const Grid& grid, int dimensions) {
  const auto volume = volume_of(tokens, grid);
  return dimensions == 3 ? volume : volume.squeeze(2);
}

}  // namespace

MixFeedForward::MixFeedForward(std::int64_t dim, std::int64_t hidden, MixMlp kind, int dimensions) : kind_(kind) {
  fc1_ = register_module("fc1", std::make_shared<Linear>(dim, hidden, true));
  if (kind != MixMlp::plain) {
    const auto wrapper = register_module("dwconv", std::make_shared<torch::nn::Module>("DWConv"));
    const std::array<bool, 3> axes{dimensions == 3, true, true};
    dwconv_ = wrapper->register_module("dwconv", std::make_shared<TokenConvolution>(hidden, 3, false, axes, true));
    if (kind == MixMlp::batch_norm || kind == MixMlp::batch_norm_channels_first)
      bn_ = wrapper->register_module("bn", std::make_shared<VolumeNorm>("BN", hidden));
  }
  fc2_ = register_module("fc2", std::make_shared<Linear>(hidden, dim, true));
  if (kind != MixMlp::skip && kind != MixMlp::skip_twice) return;
  norm1_ = register_module("norm1", layer_norm(hidden));
  for (const auto* unused : {"norm2", "norm3"}) register_module(unused, layer_norm(hidden));
}

torch::Tensor MixFeedForward::convolved(const torch::Tensor& tokens, const Grid& grid) const {
  return dwconv_->forward(tokens, grid, voxels(grid), /*silu=*/false, scan_order("dhw"));
}

torch::Tensor MixFeedForward::normalised_channels_first(const torch::Tensor& tokens, const Grid& grid) {
  const auto volume = volume_of(tokens, grid).contiguous();
  return bn_->forward(volume).flatten(2).transpose(1, 2).contiguous();
}

torch::Tensor MixFeedForward::inner(const torch::Tensor& tokens, const Grid& grid) {
  const auto x = fc1_->forward(tokens);
  switch (kind_) {
    case MixMlp::plain:
      return x;
    case MixMlp::mix:
      return convolved(x, grid);
    case MixMlp::batch_norm:
      return tokens_of(bn_->forward(volume_of(convolved(x, grid), grid)));
    case MixMlp::batch_norm_channels_first:
      return normalised_channels_first(convolved(x, grid), grid);
    case MixMlp::skip:
      return norm1_->forward(convolved(x, grid) + x);
    case MixMlp::skip_twice:
      return norm1_->forward(convolved(x, grid) + fc1_->forward(tokens));
  }
  throw std::logic_error("no such MLP");
}

torch::Tensor MixFeedForward::forward(const torch::Tensor& tokens, const Grid& grid) {
  return fc2_->forward(torch::gelu(inner(tokens, grid)));
}

MixBlock::MixBlock(const AttentionShape& attention, std::int64_t hidden, MixMlp mlp,
                   const std::string& attention_name) {
  norm1_ = register_module("norm1", layer_norm(attention.dim));
  attention_ = register_module(attention_name, std::make_shared<Attention>(attention));
  norm2_ = register_module("norm2", layer_norm(attention.dim));
  mlp_ = register_module("mlp", std::make_shared<MixFeedForward>(attention.dim, hidden, mlp, attention.dimensions));
}

torch::Tensor MixBlock::forward(torch::Tensor tokens, const Grid& grid) {
  tokens = tokens + attention_->forward(norm1_->forward(tokens), grid);
  return tokens + mlp_->forward(norm2_->forward(tokens), grid);
}

MixEncoder::MixEncoder(const std::vector<MixStageShape>& shapes, MixMlp mlp, const MixNames& names)
    : shapes_(shapes), stages_(shapes.size()) {
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const auto embedding =
        register_module(names.embedding + std::to_string(i + 1), std::make_shared<torch::nn::Module>("PatchEmbedding"));
    stages_[i].projection =
        embedding->register_module(names.projection, std::make_shared<Convolution>(embedding_of(shapes[i])));
    stages_[i].embedding_norm = embedding->register_module("norm", layer_norm(shapes[i].attention.dim));
  }
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const auto list =
        register_module(names.blocks + std::to_string(i + 1), std::make_shared<torch::nn::Module>("ModuleList"));
    for (std::int64_t block = 0; block < shapes[i].depth; ++block)
      stages_[i].blocks.push_back(list->register_module(
          std::to_string(block),
          std::make_shared<MixBlock>(shapes[i].attention, shapes[i].hidden, mlp, names.attention)));
    stages_[i].norm = register_module("norm" + std::to_string(i + 1), layer_norm(shapes[i].attention.dim));
  }
}

std::vector<std::pair<torch::Tensor, Grid>> MixEncoder::forward(torch::Tensor volume) {
  std::vector<std::pair<torch::Tensor, Grid>> levels;
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    if (i > 0) volume = next_volume(levels.back().first, levels.back().second, shapes_[i].attention.dimensions);
    const auto embedded = stages_[i].projection->forward(volume);
    const Grid grid = grid_of(embedded);
    auto tokens = stages_[i].embedding_norm->forward(tokens_of(embedded));
    for (auto& block : stages_[i].blocks) tokens = block->forward(tokens, grid);
    levels.emplace_back(stages_[i].norm->forward(tokens), grid);
  }
  return levels;
}

std::vector<Grid> MixEncoder::grids(Grid patch) const {
  std::vector<Grid> all;
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    const MixStageShape& stage = shapes_[i];
    const std::size_t first = stage.attention.dimensions == 3 ? 0 : 1;
    for (std::size_t axis = first; axis < 3; ++axis) {
      const std::int64_t reach = patch[axis] + 2 * stage.padding - stage.kernel;
      patch[axis] = reach < 0 ? 0 : reach / stage.stride + 1;
      if (patch[axis] < stage.attention.reduction)
        throw UserError("stage " + std::to_string(i + 1) + " would have " + std::to_string(patch[axis]) +
                        " tokens along an axis, fewer than its attention's reduction, " +
                        std::to_string(stage.attention.reduction) + "; use a larger patch or a smaller reduction");
    }
    all.push_back(patch);
  }
  return all;
}

}  // namespace m3d
