#pragma once
// CoTr's transformer over two levels of a feature pyramid: every token reads a few sampled points a head and level
// instead of all tokens (Deformable DETR, arXiv:2010.04159; CoTr, arXiv:2103.03024; network_architecture/DeTrans of
// YtongXie/CoTr).
#include "architectures/blocks/layers.h"
#include "architectures/blocks/stochastic.h"

namespace m3d {

struct DeformableShape {
  std::int64_t width = 384, heads = 6, points = 4, levels = 2;
  std::int64_t layers = 6, hidden = 1536;
  double dropout = 0.1;
  std::string activation = "GELU";
};

/// Sines and cosines of the three coordinates, [1, D*H*W, width] in the dtype and on the device of `like`: a third of
/// the channels each for D, H and W, in this order; D has what is left over.
torch::Tensor cotr_position_code(const Grid& grid, std::int64_t width, const torch::Tensor& like);
/// Throws UserError where the width cannot be shared so that each axis has as many sines as cosines.
void require_position_width(std::int64_t width);

/// Children sampling_offsets, attention_weights, value_proj, output_proj.
class DeformableAttention : public torch::nn::Module {
 public:
  /// Throws UserError unless heads divide the width.
  explicit DeformableAttention(const DeformableShape& shape);
  /// `query` and `tokens` [B, L, C], the levels one after the other on `grids`; `reference` [1, L, 1, 1, 3] are the
  /// tokens' centres. Returns [B, L, C].
  torch::Tensor forward(const torch::Tensor& query, const torch::Tensor& tokens, const torch::Tensor& reference,
                        const std::vector<Grid>& grids) const;
  /// Weights that look at all directions, a step further for every point, and weigh all points the same.
  void initialise(const ParameterRandom& random, const std::string& name);

 private:
  torch::Tensor sampled(const torch::Tensor& values, const torch::Tensor& places, const Grid& grid) const;
  DeformableShape shape_;
  std::shared_ptr<Linear> sampling_offsets_, attention_weights_, value_proj_, output_proj_;
};

/// norm1(x + self_attn(x + position)), then norm2(x + mlp(x)).
class DeformableLayer : public torch::nn::Module {
 public:
  explicit DeformableLayer(const DeformableShape& shape);
  torch::Tensor forward(torch::Tensor tokens, const torch::Tensor& position, const torch::Tensor& reference,
                        const std::vector<Grid>& grids);

 private:
  std::string activation_;
  std::shared_ptr<DeformableAttention> self_attn_;
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<Linear> linear1_, linear2_;
  std::shared_ptr<Dropout> dropout_;
};

class DeformableTransformer : public torch::nn::Module {
 public:
  explicit DeformableTransformer(const DeformableShape& shape);
  /// Volumes [B, width, D, H, W], one a level → the same shapes.
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& levels);
  /// As the original: Xavier, the attention's own rule, levels from the standard normal distribution.
  void initialise(const ParameterRandom& random, const std::string& name);

 private:
  torch::Tensor level_embed_;
  std::vector<std::shared_ptr<DeformableLayer>> layers_;
};

}  // namespace m3d
