#pragma once
// TransUNet's convolutional stem: ResNet-50 with weight-standardised convolutions and group norm
// (vit_seg_modeling_resnet_skip.py of Beckschen/TransUNet).
#include "architectures/blocks/layers.h"

namespace m3d {

/// 1x1, 3x3 (which strides), 1x1, each with its norm, plus a projected shortcut where the shape changes. The original
/// calls it pre-activation; norms and activations come after the convolutions. Children gn1, conv1, gn2, conv2, gn3,
/// conv3[, downsample, gn_proj].
class BottleneckUnit : public torch::nn::Module {
 public:
  BottleneckUnit(std::int64_t in, std::int64_t middle, std::int64_t out, std::int64_t stride);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  std::shared_ptr<Convolution> conv1_, conv2_, conv3_, downsample_;
  std::shared_ptr<VolumeNorm> gn1_, gn2_, gn3_, gn_proj_;
};

struct ResnetFeatures {
  torch::Tensor deepest;             // [B, 16w, H/16, W/16]
  std::vector<torch::Tensor> skips;  // coarsest first: [B, 8w, H/8, W/8], [B, 4w, H/4, W/4], [B, w, H/2, W/2]
};

/// Children root (conv, gn) and body (block1, block2, block3 of unit1, unit2, …).
class ResnetV2 : public torch::nn::Module {
 public:
  /// `units` of the three blocks; `width` must be a multiple of 32.
  ResnetV2(std::int64_t channels, const std::vector<std::int64_t>& units, std::int64_t width);
  ResnetFeatures forward(const torch::Tensor& slices);

 private:
  std::shared_ptr<Convolution> root_;
  std::shared_ptr<VolumeNorm> root_norm_;
  std::vector<std::vector<std::shared_ptr<BottleneckUnit>>> blocks_;
};

}  // namespace m3d
