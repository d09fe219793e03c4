#include "architectures/blocks/qkv_attention.h"

#include "common/error.h"

namespace m3d {

QkvAttention::QkvAttention(const QkvAttentionShape& shape)
    : shape_(shape),
      qkv_(std::make_shared<Linear>(shape.dim, 3 * shape.dim, shape.qkv_bias)),
      output_(std::make_shared<Linear>(shape.dim, shape.dim, true)) {
  if (shape.heads < 1 || shape.dim % shape.heads != 0)
    throw UserError("attention: " + std::to_string(shape.dim) + " channels cannot be split over " +
                    std::to_string(shape.heads) + " heads; choose a number of heads that divides the width");
  if (shape.output_first) register_module(shape.output, output_);
  register_module("qkv", qkv_);
  if (!shape.output_first) register_module(shape.output, output_);
}

torch::Tensor QkvAttention::forward(const torch::Tensor& tokens) const {
  const std::int64_t batch = tokens.size(0), length = tokens.size(1);
  const auto qkv = qkv_->forward(tokens)
                       .view({batch, length, 3, shape_.heads, shape_.dim / shape_.heads})
                       .permute({2, 0, 3, 1, 4})
                       .unbind(0);
  const double dropout = is_training() ? shape_.attention_dropout : 0.0;
  const auto mixed = torch::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], {}, dropout);
  const auto out = output_->forward(mixed.transpose(1, 2).reshape(tokens.sizes()));
  return is_training() && shape_.dropout > 0 ? torch::dropout(out, shape_.dropout, true) : out;
}

}  // namespace m3d
