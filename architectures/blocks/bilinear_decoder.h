#pragma once
// The decoder step that TransUNet (vit_seg_modeling.py of Beckschen/TransUNet) and LeViT-UNet (apple1986/LeViT-UNet)
// share: slices [B, C, H, W] are doubled bilinearly, corners aligned, and convolved twice.
#include "architectures/blocks/layers.h"

namespace m3d {

/// [B, C, H, W] → [B, C, height, width], corners aligned.
torch::Tensor resized_bilinear(const torch::Tensor& slices, std::int64_t height, std::int64_t width);
/// To twice the size.
torch::Tensor doubled_bilinear(const torch::Tensor& slices);

/// 3x3 convolution without bias, batch norm, ReLU: children 0 and 1.
class ConvolutionBatchNormRelu : public torch::nn::Module {
 public:
  ConvolutionBatchNormRelu(std::int64_t in, std::int64_t out);
  torch::Tensor forward(const torch::Tensor& slices);

 private:
  std::shared_ptr<Convolution> convolution_;
  std::shared_ptr<VolumeNorm> norm_;
};

/// Children conv1 and conv2.
class BilinearDecoderBlock : public torch::nn::Module {
 public:
  /// `in` counts the skip's channels too.
  BilinearDecoderBlock(std::int64_t in, std::int64_t out);
  /// `skip` [B, S, 2H, 2W] is laid beside the doubled slices; may be undefined.
  torch::Tensor forward(const torch::Tensor& slices, const torch::Tensor& skip = {});

 private:
  std::shared_ptr<ConvolutionBatchNormRelu> conv1_, conv2_;
};

}  // namespace m3d
