#pragma once
// MISSFormer's bridge and decoder (networks/MISSFormer.py and segformer.py of ZhifangDeng/MISSFormer).
#include "architectures/blocks/mix_transformer.h"

namespace m3d {

/// The four stages' widths are these times the base width, which is the width of the bridge's tokens too.
constexpr std::array<std::int64_t, 4> kMissformerWidths{1, 2, 5, 8};

/// Attention among the tokens of all four levels. Children q, kv, proj and scale_reduce (sr0, sr1, sr2, norm): keys
/// come from the three finer levels through strided convolutions, and from the coarsest one as it is.
class BridgeAttention : public torch::nn::Module {
 public:
  explicit BridgeAttention(std::int64_t width);
  /// [B, N, width], the levels one after the other on `grids` → the same shape.
  torch::Tensor forward(const torch::Tensor& tokens, const std::vector<Grid>& grids);

 private:
  torch::Tensor reduced(const torch::Tensor& tokens, const std::vector<Grid>& grids);
  std::int64_t width_;
  std::shared_ptr<Linear> q_, kv_, proj_;
  std::array<std::shared_ptr<Convolution>, 3> reductions_;
  std::shared_ptr<LayerNorm> norm_;
};

/// x + attn(norm1(x)); the levels of norm2 of it, each in its own width, through an MLP of its own, added.
class BridgeLayer : public torch::nn::Module {
 public:
  BridgeLayer(std::int64_t width, MixMlp mlp);
  torch::Tensor forward(torch::Tensor tokens, const std::vector<Grid>& grids);

 private:
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<BridgeAttention> attn_;
  std::array<std::shared_ptr<MixFeedForward>, 4> mlps_;
};

/// Four bridge layers.
class Bridge : public torch::nn::Module {
 public:
  Bridge(std::int64_t width, MixMlp mlp);
  /// Stage tokens, finest first → the same shapes.
  std::vector<torch::Tensor> forward(const std::vector<std::pair<torch::Tensor, Grid>>& levels);

 private:
  std::int64_t width_;
  std::vector<std::shared_ptr<BridgeLayer>> layers_;
};

struct MissformerDecoderShape {
  std::int64_t joined = 1, width = 1;  // channels of [up, skip]; of the stage
  std::int64_t heads = 1, reduction = 1;
  MixMlp mlp = MixMlp::skip;
  std::int64_t classes = 0;  // of the last stage, which expands fourfold; else twofold
};

/// concat_linear, two transformer blocks, patch expansion; the last stage also classifies.
class MissformerDecoder : public torch::nn::Module {
 public:
  explicit MissformerDecoder(const MissformerDecoderShape& shape);
  /// [B, L, up] and [B, L, skip] on `grid` → [B, 4L, width/2], or logits [B, K, 4H, 4W].
  torch::Tensor forward(const torch::Tensor& up, const torch::Tensor& skip, const Grid& grid);
  /// Only the expansion, as the coarsest stage, whose other layers the original never uses.
  torch::Tensor expand(const torch::Tensor& tokens, const Grid& grid);

 private:
  std::int64_t factor_;
  std::shared_ptr<Linear> concat_linear_, expand_;
  std::shared_ptr<LayerNorm> expand_norm_;
  std::shared_ptr<Convolution> last_layer_;
  std::array<std::shared_ptr<MixBlock>, 2> blocks_;
};

}  // namespace m3d
