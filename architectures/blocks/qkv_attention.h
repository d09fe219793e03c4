#pragma once
// Plain multi-head self-attention of vision transformers (arXiv:2010.11929): one linear layer for queries, keys and
// values, their channels in this order, then heads.
#include "architectures/blocks/layers.h"

namespace m3d {

struct QkvAttentionShape {
  std::int64_t dim = 1, heads = 1;
  bool qkv_bias = false;
  double attention_dropout = 0, dropout = 0;  // of the weights; of the output
  std::string output = "proj";                // name of the last layer
  bool output_first = false;                  // its place in the original's state is before qkv
};

/// Children qkv and `output`.
class QkvAttention : public torch::nn::Module {
 public:
  /// Throws UserError unless heads divide dim.
  explicit QkvAttention(const QkvAttentionShape& shape);
  /// [B, L, dim] → [B, L, dim].
  torch::Tensor forward(const torch::Tensor& tokens) const;

 private:
  QkvAttentionShape shape_;
  std::shared_ptr<Linear> qkv_, output_;
};

}  // namespace m3d
