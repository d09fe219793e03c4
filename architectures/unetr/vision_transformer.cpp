#include "architectures/unetr/vision_transformer.h"

namespace m3d {
namespace {

constexpr double kNormEps = 1e-5;

/// [B, C, s1, …] → [B, tokens, 16 * 16 * … * C].
torch::Tensor patches_of(const torch::Tensor& volume) {
  std::vector<std::int64_t> split{volume.size(0), volume.size(1)}, tokens, voxels;
  for (std::int64_t axis = 2; axis < volume.dim(); ++axis) {
    tokens.push_back(static_cast<std::int64_t>(split.size()));
    split.push_back(volume.size(axis) / kUnetrPatch);
    voxels.push_back(static_cast<std::int64_t>(split.size()));
    split.push_back(kUnetrPatch);
  }
  std::vector<std::int64_t> order{0};
  order.insert(order.end(), tokens.begin(), tokens.end());
  order.insert(order.end(), voxels.begin(), voxels.end());
  order.push_back(1);
  const auto dimensions = static_cast<std::int64_t>(tokens.size());
  return volume.reshape(split).permute(order).flatten(1 + dimensions).flatten(1, dimensions);
}

}  // namespace

UnetrPatchEmbedding::UnetrPatchEmbedding(std::int64_t channels, std::int64_t tokens, const UnetrConfig& config)
    : dropout_(std::make_shared<Dropout>(config.dropout)) {
  position_embeddings = register_parameter("position_embeddings", new_parameter({1, tokens, config.hidden_size}));
  if (config.perceptron) {
    const std::int64_t voxels =
        config.style.dimensions == 3 ? kUnetrPatch * kUnetrPatch * kUnetrPatch : kUnetrPatch * kUnetrPatch;
    const auto sequential = register_module("patch_embeddings", std::make_shared<torch::nn::Module>("Sequential"));
    linear_ = sequential->register_module("1", std::make_shared<Linear>(voxels * channels, config.hidden_size, true));
  } else {
    auto shape = cubic_convolution(channels, config.hidden_size, kUnetrPatch, kUnetrPatch, true);
    shape.padding.fill(0), shape.dimensions = config.style.dimensions;
    convolution_ = register_module("patch_embeddings", std::make_shared<Convolution>(shape));
  }
  register_module("dropout", dropout_);
}

torch::Tensor UnetrPatchEmbedding::forward(const torch::Tensor& volume) {
  const auto tokens = linear_ ? linear_->forward(patches_of(volume)) : tokens_of(convolution_->forward(volume));
  return dropout_->forward(tokens + position_embeddings);
}

UnetrTransformerBlock::UnetrTransformerBlock(const UnetrConfig& config)
    : dropout_(std::make_shared<Dropout>(config.dropout)) {
  const std::int64_t width = config.hidden_size, hidden = config.mlp_dim ? config.mlp_dim : width;
  const auto mlp = register_module("mlp", std::make_shared<torch::nn::Module>("MLPBlock"));
  linear1_ = mlp->register_module("linear1", std::make_shared<Linear>(width, hidden, true));
  linear2_ = mlp->register_module("linear2", std::make_shared<Linear>(hidden, width, true));
  norm1_ = register_module("norm1", std::make_shared<LayerNorm>(width, kNormEps));
  attn_ = register_module("attn", std::make_shared<QkvAttention>(QkvAttentionShape{
                                      width, config.heads, config.qkv_bias, config.dropout, config.dropout, "out_proj",
                                      /*output_first=*/true}));
  norm2_ = register_module("norm2", std::make_shared<LayerNorm>(width, kNormEps));
  register_module("norm_cross_attn", std::make_shared<LayerNorm>(width, kNormEps));
  register_module("dropout", dropout_);
}

torch::Tensor UnetrTransformerBlock::forward(torch::Tensor tokens) {
  tokens = tokens + attn_->forward(norm1_->forward(tokens));
  const auto inner = dropout_->forward(torch::gelu(linear1_->forward(norm2_->forward(tokens))));
  return tokens + dropout_->forward(linear2_->forward(inner));
}

UnetrTransformer::UnetrTransformer(std::int64_t channels, std::int64_t tokens, const UnetrConfig& config) {
  patch_embedding_ =
      register_module("patch_embedding", std::make_shared<UnetrPatchEmbedding>(channels, tokens, config));
  const auto blocks = register_module("blocks", std::make_shared<torch::nn::Module>("ModuleList"));
  for (int i = 0; i < kUnetrBlocks; ++i)
    blocks_.push_back(blocks->register_module(std::to_string(i), std::make_shared<UnetrTransformerBlock>(config)));
  norm_ = register_module("norm", std::make_shared<LayerNorm>(config.hidden_size, kNormEps));
}

std::array<torch::Tensor, 4> UnetrTransformer::forward(const torch::Tensor& volume) {
  std::vector<torch::Tensor> states{patch_embedding_->forward(volume)};
  for (auto& block : blocks_) states.push_back(block->forward(states.back()));
  return {states[4], states[7], states[10], norm_->forward(states.back())};
}

}  // namespace m3d
