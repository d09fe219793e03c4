#pragma once
// Attention over voxel tokens with spatial reduction of keys and values (PVT, arXiv:2102.12122; as in net_modules.py
// of uakhan17/Mamba3D-MedSeg): one mixer, `reduction` 1 being plain attention.
#include "architectures/blocks/layers.h"

namespace m3d {

/// What the original calls the layers.
struct AttentionNames {
  std::string query = "q", key_value = "kv", norm = "norm";
};

struct AttentionShape {
  std::int64_t dim = 0, heads = 1;
  std::int64_t reduction = 1;  // edge of the cube of voxels that becomes one key; 1: every token is a key
  bool qkv_bias = false;
  std::optional<double> scale = {};  // of query-key products; default 1/sqrt(dim/heads)
  int dimensions = 3;                // 2: the grid is a slice, the reduction a square
  AttentionNames names = {};
};

/// Children q, kv, proj and, with a reduction, sr (convolution, kernel = stride = reduction) and norm, if not named
/// otherwise.
class Attention : public torch::nn::Module {
 public:
  /// Throws UserError unless heads divide dim.
  explicit Attention(const AttentionShape& shape);
  /// [B, L, C] on `grid` → [B, L, C]. Voxels that do not fill a cube of the reduction give no key.
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid);

 private:
  torch::Tensor keys_source(const torch::Tensor& tokens, const Grid& grid);
  AttentionShape shape_;
  std::shared_ptr<Linear> q_, kv_, proj_;
  std::shared_ptr<Convolution> sr_;
  std::shared_ptr<LayerNorm> norm_;
};

/// x + attn(norm1(x)), then x + mlp(norm2(x)); the MLP is Linear, GELU (erf), Linear.
class TransformerBlock : public torch::nn::Module {
 public:
  TransformerBlock(const AttentionShape& shape, double mlp_ratio, double norm_eps);
  torch::Tensor forward(torch::Tensor tokens, const Grid& grid);

 private:
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<Attention> attn_;
  std::shared_ptr<torch::nn::Module> mlp_;
  std::shared_ptr<Linear> fc1_, fc2_;
};

/// `depth` transformer blocks, named 0, 1, ….
class TransformerStack : public TokenStack {
 public:
  TransformerStack(const AttentionShape& shape, double mlp_ratio, double norm_eps, std::int64_t depth);
  torch::Tensor forward(torch::Tensor tokens, const Grid& grid) override;

 private:
  std::vector<std::shared_ptr<TransformerBlock>> blocks_;
};

}  // namespace m3d
