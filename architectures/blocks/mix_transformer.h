#pragma once
// The Mix Transformer (SegFormer, arXiv:2105.15203) that SegFormer3D (architectures/segformer3d.py) and MISSFormer
// (networks/segformer.py) share: four stages of overlapping patch embedding and transformer blocks whose MLP contains a
// depthwise 3x3(x3) convolution, so that no position embedding is needed.
#include "architectures/blocks/attention.h"
#include "architectures/blocks/token_mixer.h"

namespace m3d {

enum class MixMlp {
  plain,       // fc1, GELU, fc2
  mix,         // fc1, dwconv, GELU, fc2
  batch_norm,  // fc1, dwconv with BatchNorm, GELU, fc2 (SegFormer3D)
  // The same through channels-first memory, as SegFormer3D's code since November 2025. LibTorch's CPU batch
  // normalisation differentiates it wrongly for a batch of one (it reads the gradient, which is channels-last with a
  // stride of its own along the batch, as channels-first), and the reference records hold those gradients.
  batch_norm_channels_first,
  skip,       // fc1, LayerNorm of fc1 + dwconv of it, GELU, fc2 (MISSFormer's enhanced one)
  skip_twice  // the same at the released code's cost, which computes fc1 twice
};

/// Children fc1, dwconv (dwconv, bn), fc2 and, of `skip`, norm1; norm2 and norm3 are in the original's state, unused.
class MixFeedForward : public torch::nn::Module {
 public:
  MixFeedForward(std::int64_t dim, std::int64_t hidden, MixMlp kind, int dimensions);
  /// [B, L, dim] on `grid` → [B, L, dim].
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid);

 private:
  torch::Tensor inner(const torch::Tensor& tokens, const Grid& grid);
  torch::Tensor convolved(const torch::Tensor& tokens, const Grid& grid) const;
  torch::Tensor normalised_channels_first(const torch::Tensor& tokens, const Grid& grid);
  MixMlp kind_;
  std::shared_ptr<Linear> fc1_, fc2_;
  std::shared_ptr<TokenConvolution> dwconv_;
  std::shared_ptr<VolumeNorm> bn_;
  std::shared_ptr<LayerNorm> norm1_;
};

/// x + attention(norm1(x)), then x + mlp(norm2(x)).
class MixBlock : public torch::nn::Module {
 public:
  MixBlock(const AttentionShape& attention, std::int64_t hidden, MixMlp mlp, const std::string& attention_name);
  torch::Tensor forward(torch::Tensor tokens, const Grid& grid);

 private:
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<Attention> attention_;
  std::shared_ptr<MixFeedForward> mlp_;
};

struct MixStageShape {
  std::int64_t in = 1, kernel = 3, stride = 2, padding = 1;  // of the patch embedding
  std::int64_t depth = 2, hidden = 4;
  AttentionShape attention;  // its dim is the stage's width
};

/// What the original calls its parts, numbered from 1.
struct MixNames {
  std::string embedding = "patch_embed", projection = "proj", blocks = "block", attention = "attn";
};

class MixEncoder : public torch::nn::Module {
 public:
  MixEncoder(const std::vector<MixStageShape>& stages, MixMlp mlp, const MixNames& names);
  /// [B, C, D, H, W] (or [B, C, H, W]) → each stage's tokens [B, L, C] and their grid, finest first.
  std::vector<std::pair<torch::Tensor, Grid>> forward(torch::Tensor volume);
  /// The grids of a patch. Throws UserError where a stage has fewer tokens than its attention's reduction needs.
  std::vector<Grid> grids(Grid patch) const;

 private:
  struct Stage {
    std::shared_ptr<Convolution> projection;
    std::shared_ptr<LayerNorm> embedding_norm, norm;
    std::vector<std::shared_ptr<MixBlock>> blocks;
  };
  std::vector<MixStageShape> shapes_;
  std::vector<Stage> stages_;
};

}  // namespace m3d
