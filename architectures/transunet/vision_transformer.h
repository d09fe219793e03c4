#pragma once
// The ViT encoder of TransUNet (vit_seg_modeling.py of Beckschen/TransUNet; Dosovitskiy et al., arXiv:2010.11929).
#include "architectures/blocks/layers.h"
#include "architectures/blocks/stochastic.h"
#include "architectures/transunet/transunet_options.h"

namespace m3d {

/// Multi-head self-attention: children query, key, value, out.
class VitAttention : public torch::nn::Module {
 public:
  explicit VitAttention(const TransUnetConfig& config);
  /// [B, L, C] → [B, L, C].
  torch::Tensor forward(const torch::Tensor& tokens);

 private:
  std::int64_t heads_;
  double dropout_rate_;
  std::shared_ptr<Linear> query_, key_, value_, out_;
  std::shared_ptr<Dropout> dropout_;
};

/// Linear, GELU, linear: children fc1, fc2.
class VitMlp : public torch::nn::Module {
 public:
  explicit VitMlp(const TransUnetConfig& config);
  torch::Tensor forward(const torch::Tensor& tokens);
  std::shared_ptr<Linear> fc1, fc2;

 private:
  std::shared_ptr<Dropout> dropout_;
};

/// x + attn(attention_norm(x)), then x + ffn(ffn_norm(x)).
class VitLayer : public torch::nn::Module {
 public:
  explicit VitLayer(const TransUnetConfig& config);
  torch::Tensor forward(torch::Tensor tokens);

 private:
  std::shared_ptr<LayerNorm> attention_norm_, ffn_norm_;
  std::shared_ptr<VitMlp> ffn_;
  std::shared_ptr<VitAttention> attn_;
};

/// Children layer.0, layer.1, … and encoder_norm.
class VitEncoder : public torch::nn::Module {
 public:
  explicit VitEncoder(const TransUnetConfig& config);
  /// [B, L, C] → [B, L, C].
  torch::Tensor forward(torch::Tensor tokens);

 private:
  std::vector<std::shared_ptr<VitLayer>> layers_;
  std::shared_ptr<LayerNorm> encoder_norm_;
};

}  // namespace m3d
