#pragma once
// The convolutional blocks around UNETR's transformer, which SegMamba and Swin-UNETR share (UNETR, arXiv:2103.10504;
// monai/networks/blocks/unetr_block.py and dynunet_block.py of MONAI). With `dimensions` 2 they take slices
// [B, C, H, W] wherever [B, C, D, H, W] is said. Names are MONAI's: every convolution lies in a wrapper as `conv`.
#include "architectures/blocks/layers.h"

namespace m3d {

/// What all blocks of a network share. The channels of `norm` are set by each block.
struct UnetrStyle {
  VolumeNormShape norm{.kind = "IN", .affine = false};
  bool res_block = true;
  int dimensions = 3;
};

struct UnetrBlockShape {
  std::int64_t in = 1, out = 1;
  std::array<std::int64_t, 3> kernel{3, 3, 3}, stride{1, 1, 1};
};

/// A convolution without bias named `conv`, padded so that stride s divides the size by s; a transposed one multiplies.
class WrappedConvolution : public torch::nn::Module {
 public:
  WrappedConvolution(const UnetrBlockShape& shape, int dimensions, bool transposed = false, bool bias = false);
  torch::Tensor forward(const torch::Tensor& volume) const { return conv_->forward(volume); }

 private:
  std::shared_ptr<Convolution> conv_;
};

/// norm2(conv2(lrelu(norm1(conv1(x))))), then lrelu. With res_block, x is added before that last activation, through
/// conv3 (1x1x1) and norm3 where channels or size change. MONAI's UnetResBlock and UnetBasicBlock.
class UnetBlock : public torch::nn::Module {
 public:
  UnetBlock(const UnetrBlockShape& shape, const UnetrStyle& style);
  /// [B, in, D, H, W] → [B, out, D, H, W], sizes divided by the stride.
  torch::Tensor forward(const torch::Tensor& volume);

 private:
  bool residual_;
  std::shared_ptr<WrappedConvolution> conv1_, conv2_, conv3_;
  std::shared_ptr<VolumeNorm> norm1_, norm2_, norm3_;
};

/// A UnetBlock named `layer`.
class UnetrBasicBlock : public torch::nn::Module {
 public:
  UnetrBasicBlock(const UnetrBlockShape& shape, const UnetrStyle& style);
  torch::Tensor forward(const torch::Tensor& volume) { return layer_->forward(volume); }

 private:
  std::shared_ptr<UnetBlock> layer_;
};

/// Transposed convolution of kernel = stride `upsample`, beside the skip, through a UnetBlock of shape's kernel.
class UnetrUpBlock : public torch::nn::Module {
 public:
  UnetrUpBlock(const UnetrBlockShape& shape, const std::array<std::int64_t, 3>& upsample, const UnetrStyle& style);
  /// [B, in, D, H, W] and a skip [B, out, …] of the up-sampled size → that size.
  torch::Tensor forward(const torch::Tensor& volume, const torch::Tensor& skip);

 private:
  std::shared_ptr<WrappedConvolution> transp_conv_;
  std::shared_ptr<UnetBlock> conv_block_;
};

/// 1 + num_layer transposed convolutions; with `conv_block` a UnetBlock follows all but the first.
class UnetrPrUpBlock : public torch::nn::Module {
 public:
  UnetrPrUpBlock(const UnetrBlockShape& shape, std::int64_t num_layer, const std::array<std::int64_t, 3>& upsample,
                 bool conv_block, const UnetrStyle& style);
  torch::Tensor forward(torch::Tensor volume);

 private:
  std::shared_ptr<WrappedConvolution> transp_conv_init_;
  std::vector<std::shared_ptr<WrappedConvolution>> transposed_;
  std::vector<std::shared_ptr<UnetBlock>> convolutions_;  // none without conv_block
};

/// 1x1x1 convolution with bias to the classes: conv.conv.
class UnetOutBlock : public torch::nn::Module {
 public:
  UnetOutBlock(std::int64_t in, std::int64_t classes, int dimensions);
  torch::Tensor forward(const torch::Tensor& volume) const { return conv_->forward(volume); }

 private:
  std::shared_ptr<WrappedConvolution> conv_;
};

}  // namespace m3d
