#pragma once
// UNETR's encoder (ViT of monai/networks/nets/vit.py): patch embedding, learned positions, pre-norm transformer blocks.
#include "architectures/blocks/qkv_attention.h"
#include "architectures/blocks/stochastic.h"
#include "architectures/unetr/unetr_network.h"

namespace m3d {

constexpr std::int64_t kUnetrPatch = 16;  // edge of the cube (or square) of voxels that becomes a token
constexpr int kUnetrBlocks = 12;

/// Non-overlapping patches to tokens, positions added. The linear layer takes a patch's voxels row-major, channels
/// innermost.
class UnetrPatchEmbedding : public torch::nn::Module {
 public:
  UnetrPatchEmbedding(std::int64_t channels, std::int64_t tokens, const UnetrConfig& config);
  /// [B, C, D, H, W] → [B, D/16 * H/16 * W/16, hidden].
  torch::Tensor forward(const torch::Tensor& volume);
  torch::Tensor position_embeddings;

 private:
  std::shared_ptr<Linear> linear_;
  std::shared_ptr<Convolution> convolution_;
  std::shared_ptr<Dropout> dropout_;
};

/// x + attn(norm1(x)), then x + mlp(norm2(x)). The original holds norm_cross_attn too and never uses it.
class UnetrTransformerBlock : public torch::nn::Module {
 public:
  explicit UnetrTransformerBlock(const UnetrConfig& config);
  torch::Tensor forward(torch::Tensor tokens);

 private:
  std::shared_ptr<Linear> linear1_, linear2_;
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<QkvAttention> attn_;
  std::shared_ptr<Dropout> dropout_;
};

class UnetrTransformer : public torch::nn::Module {
 public:
  UnetrTransformer(std::int64_t channels, std::int64_t tokens, const UnetrConfig& config);
  /// The tokens after blocks 4, 7, 10, and after the last one, normalised.
  std::array<torch::Tensor, 4> forward(const torch::Tensor& volume);
  const std::shared_ptr<UnetrPatchEmbedding>& patch_embedding() const { return patch_embedding_; }

 private:
  std::shared_ptr<UnetrPatchEmbedding> patch_embedding_;
  std::vector<std::shared_ptr<UnetrTransformerBlock>> blocks_;
  std::shared_ptr<LayerNorm> norm_;
};

}  // namespace m3d
