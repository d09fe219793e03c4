#pragma once
// LeViT's layers (Graham et al., arXiv:2104.01136): linear layers and convolutions with batch norm, and attention whose
// scores have a learned bias by distance; with half the queries an axis it shrinks the grid. (LeViT-UNet-384.py of
// apple1986/LeViT-UNet.)
#include "architectures/blocks/layers.h"
#include "architectures/blocks/stochastic.h"
#include "architectures/levit_unet/levit_options.h"

namespace m3d {

/// Linear without bias, then batch norm over all tokens: children c, bn.
class LinearBatchNorm : public torch::nn::Module {
 public:
  LinearBatchNorm(std::int64_t in, std::int64_t out);
  /// [B, L, in] → [B, L, out].
  torch::Tensor forward(const torch::Tensor& tokens);
  const std::shared_ptr<VolumeNorm>& norm() const { return bn_; }

 private:
  std::shared_ptr<Linear> c_;
  std::shared_ptr<VolumeNorm> bn_;
};

/// 3x3 convolution of stride 2 without bias, then batch norm: children c, bn.
class StridedConvolutionBatchNorm : public torch::nn::Module {
 public:
  StridedConvolutionBatchNorm(std::int64_t in, std::int64_t out);
  torch::Tensor forward(const torch::Tensor& slices);

 private:
  std::shared_ptr<Convolution> c_;
  std::shared_ptr<VolumeNorm> bn_;
};

/// Parameter attention_biases [heads, resolution^2], one for each |dy|, |dx|; children qkv and proj.1, or with
/// `downsample` kv, q.1 (of every second token along each axis) and proj.1.
class LevitAttention : public torch::nn::Module {
 public:
  LevitAttention(const LevitAttentionShape& shape, bool downsample);
  /// [B, resolution^2, dim] → [B, queries, out].
  torch::Tensor forward(const torch::Tensor& tokens);
  /// The norm of the output layer, which starts at zero where the attention is a residual branch.
  const std::shared_ptr<VolumeNorm>& last_norm() const { return proj_->norm(); }
  bool downsamples() const { return q_ != nullptr; }

 private:
  torch::Tensor every_second(const torch::Tensor& tokens) const;
  torch::Tensor biases();
  LevitAttentionShape shape_;
  std::shared_ptr<LinearBatchNorm> projections_, q_, proj_;  // projections_: queries (unless q_), keys, values
  torch::Tensor attention_biases_;
  torch::Tensor distances_;  // [queries, tokens] of kLong: the bias of each pair; not part of the state
};

/// LinearBatchNorm, activation, LinearBatchNorm: children 0 and 2.
class LevitMlp : public torch::nn::Module {
 public:
  LevitMlp(std::int64_t width, std::int64_t inner, const std::string& activation);
  torch::Tensor forward(const torch::Tensor& tokens);
  const std::shared_ptr<VolumeNorm>& last_norm() const { return second_->norm(); }

 private:
  std::string activation_;
  std::shared_ptr<LinearBatchNorm> first_, second_;
};

}  // namespace m3d
