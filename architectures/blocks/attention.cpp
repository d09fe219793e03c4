#include "architectures/blocks/attention.h"

#include "common/error.h"

namespace m3d {

Attention::Attention(const AttentionShape& shape) : shape_(shape) {
  if (shape.heads < 1 || shape.dim % shape.heads != 0)
    throw UserError("attention: " + std::to_string(shape.dim) + " channels cannot be split over " +
                    std::to_string(shape.heads) + " heads; choose a number of heads that divides the width");
  q_ = register_module(shape.names.query, std::make_shared<Linear>(shape.dim, shape.dim, shape.qkv_bias));
  kv_ = register_module(shape.names.key_value, std::make_shared<Linear>(shape.dim, 2 * shape.dim, shape.qkv_bias));
  proj_ = register_module("proj", std::make_shared<Linear>(shape.dim, shape.dim, true));
  if (shape.reduction <= 1) return;
  auto reduce = cubic_convolution(shape.dim, shape.dim, shape.reduction, shape.reduction, true);
  reduce.padding.fill(0), reduce.dimensions = shape.dimensions;
  sr_ = register_module("sr", std::make_shared<Convolution>(reduce));
  norm_ = register_module(shape.names.norm, std::make_shared<LayerNorm>(shape.dim, 1e-5));
}

torch::Tensor Attention::keys_source(const torch::Tensor& tokens, const Grid& grid) {
  if (!sr_) return tokens;
  for (std::size_t axis = shape_.dimensions == 3 ? 0 : 1; axis < 3; ++axis)
    if (grid[axis] < shape_.reduction)
      throw UserError("attention: a grid of " + std::to_string(grid[axis]) +
                      " tokens along an axis is smaller than the reduction " + std::to_string(shape_.reduction) +
                      "; use a larger patch or smaller sr_ratios");
  const auto volume = volume_of(tokens, grid);
  return norm_->forward(tokens_of(sr_->forward(shape_.dimensions == 3 ? volume : volume.squeeze(2))));
}

torch::Tensor Attention::forward(const torch::Tensor& tokens, const Grid& grid) {
  const auto source = keys_source(tokens, grid);
  const std::int64_t batch = tokens.size(0), per_head = shape_.dim / shape_.heads;
  const auto split_heads = [&](const torch::Tensor& x) {
    return x.reshape({batch, x.size(1), shape_.heads, per_head}).transpose(1, 2);
  };
  const auto kv = kv_->forward(source).chunk(2, -1);
  const auto mixed = torch::scaled_dot_product_attention(split_heads(q_->forward(tokens)), split_heads(kv[0]),
                                                         split_heads(kv[1]), {}, 0.0, false, shape_.scale);
  return proj_->forward(mixed.transpose(1, 2).reshape_as(tokens));
}

TransformerBlock::TransformerBlock(const AttentionShape& shape, double mlp_ratio, double norm_eps) {
  const auto hidden = static_cast<std::int64_t>(static_cast<double>(shape.dim) * mlp_ratio);
  norm1_ = register_module("norm1", std::make_shared<LayerNorm>(shape.dim, norm_eps));
  attn_ = register_module("attn", std::make_shared<Attention>(shape));
  norm2_ = register_module("norm2", std::make_shared<LayerNorm>(shape.dim, norm_eps));
  mlp_ = register_module("mlp", std::make_shared<torch::nn::Module>("Mlp"));
  fc1_ = mlp_->register_module("fc1", std::make_shared<Linear>(shape.dim, hidden, true));
  fc2_ = mlp_->register_module("fc2", std::make_shared<Linear>(hidden, shape.dim, true));
}

torch::Tensor TransformerBlock::forward(torch::Tensor tokens, const Grid& grid) {
  tokens = tokens + attn_->forward(norm1_->forward(tokens), grid);
  return tokens + fc2_->forward(torch::gelu(fc1_->forward(norm2_->forward(tokens))));
}

TransformerStack::TransformerStack(const AttentionShape& shape, double mlp_ratio, double norm_eps, std::int64_t depth) {
  for (std::int64_t i = 0; i < depth; ++i)
    blocks_.push_back(
        register_module(std::to_string(i), std::make_shared<TransformerBlock>(shape, mlp_ratio, norm_eps)));
}

torch::Tensor TransformerStack::forward(torch::Tensor tokens, const Grid& grid) {
  for (auto& block : blocks_) tokens = block->forward(tokens, grid);
  return tokens;
}

}  // namespace m3d
