#include "architectures/blocks/unetr_blocks.h"

#include "common/error.h"

namespace m3d {
namespace {

constexpr double kSlope = 0.01;

std::shared_ptr<VolumeNorm> norm_of(const UnetrStyle& style, std::int64_t channels) {
  VolumeNormShape shape = style.norm;
  shape.channels = channels;
  return std::make_shared<VolumeNorm>(shape);
}

/// MONAI's rule: half of what the kernel overlaps; the output of a transposed convolution is then completed.
ConvolutionShape padded(const UnetrBlockShape& given, int dimensions, bool transposed, bool bias) {
  ConvolutionShape shape;
  shape.in = given.in, shape.out = given.out, shape.kernel = given.kernel, shape.stride = given.stride;
  shape.dimensions = dimensions, shape.transposed = transposed, shape.bias = bias;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::int64_t overlap = given.kernel[axis] - given.stride[axis] + 1;
    if (overlap < 0) throw UserError("a convolution's stride may not be larger than its kernel + 1");
    shape.padding[axis] = overlap / 2;
    if (transposed) shape.output_padding[axis] = 2 * (overlap / 2) + given.stride[axis] - given.kernel[axis];
  }
  return shape;
}

}  // namespace

WrappedConvolution::WrappedConvolution(const UnetrBlockShape& shape, int dimensions, bool transposed, bool bias) {
  conv_ = register_module("conv", std::make_shared<Convolution>(padded(shape, dimensions, transposed, bias)));
}

UnetBlock::UnetBlock(const UnetrBlockShape& shape, const UnetrStyle& style) : residual_(style.res_block) {
  const UnetrBlockShape second{shape.out, shape.out, shape.kernel};
  conv1_ = register_module("conv1", std::make_shared<WrappedConvolution>(shape, style.dimensions));
  conv2_ = register_module("conv2", std::make_shared<WrappedConvolution>(second, style.dimensions));
  norm1_ = register_module("norm1", norm_of(style, shape.out));
  norm2_ = register_module("norm2", norm_of(style, shape.out));
  const bool changes = shape.in != shape.out || shape.stride != UnetrBlockShape{}.stride;
  if (!residual_ || !changes) return;
  const UnetrBlockShape shortcut{shape.in, shape.out, {1, 1, 1}, shape.stride};
  conv3_ = register_module("conv3", std::make_shared<WrappedConvolution>(shortcut, style.dimensions));
  norm3_ = register_module("norm3", norm_of(style, shape.out));
}

torch::Tensor UnetBlock::forward(const torch::Tensor& volume) {
  auto inner = activate(norm1_->forward(conv1_->forward(volume)), "LeakyReLU", kSlope);
  inner = norm2_->forward(conv2_->forward(inner));
  if (residual_) inner += conv3_ ? norm3_->forward(conv3_->forward(volume)) : volume;
  return activate(inner, "LeakyReLU", kSlope);
}

UnetrBasicBlock::UnetrBasicBlock(const UnetrBlockShape& shape, const UnetrStyle& style) {
  layer_ = register_module("layer", std::make_shared<UnetBlock>(shape, style));
}

UnetrUpBlock::UnetrUpBlock(const UnetrBlockShape& shape, const std::array<std::int64_t, 3>& upsample,
                           const UnetrStyle& style) {
  const UnetrBlockShape up{shape.in, shape.out, upsample, upsample}, joined{2 * shape.out, shape.out, shape.kernel};
  transp_conv_ = register_module("transp_conv", std::make_shared<WrappedConvolution>(up, style.dimensions, true));
  conv_block_ = register_module("conv_block", std::make_shared<UnetBlock>(joined, style));
}

torch::Tensor UnetrUpBlock::forward(const torch::Tensor& volume, const torch::Tensor& skip) {
  return conv_block_->forward(torch::cat({transp_conv_->forward(volume), skip}, 1));
}

UnetrPrUpBlock::UnetrPrUpBlock(const UnetrBlockShape& shape, std::int64_t num_layer,
                               const std::array<std::int64_t, 3>& upsample, bool conv_block, const UnetrStyle& style) {
  const UnetrBlockShape first{shape.in, shape.out, upsample, upsample}, next{shape.out, shape.out, upsample, upsample};
  const UnetrBlockShape convolution{shape.out, shape.out, shape.kernel, shape.stride};
  transp_conv_init_ =
      register_module("transp_conv_init", std::make_shared<WrappedConvolution>(first, style.dimensions, true));
  const auto blocks = register_module("blocks", std::make_shared<torch::nn::Module>("ModuleList"));
  for (std::int64_t i = 0; i < num_layer; ++i) {
    transposed_.push_back(std::make_shared<WrappedConvolution>(next, style.dimensions, true));
    if (!conv_block) {
      blocks->register_module(std::to_string(i), transposed_.back());
      continue;
    }
    const auto pair = blocks->register_module(std::to_string(i), std::make_shared<torch::nn::Module>("Sequential"));
    pair->register_module("0", transposed_.back());
    convolutions_.push_back(pair->register_module("1", std::make_shared<UnetBlock>(convolution, style)));
  }
}

torch::Tensor UnetrPrUpBlock::forward(torch::Tensor volume) {
  volume = transp_conv_init_->forward(volume);
  for (std::size_t i = 0; i < transposed_.size(); ++i) {
    volume = transposed_[i]->forward(volume);
    if (!convolutions_.empty()) volume = convolutions_[i]->forward(volume);
  }
  return volume;
}

UnetOutBlock::UnetOutBlock(std::int64_t in, std::int64_t classes, int dimensions) {
  conv_ = register_module(
      "conv", std::make_shared<WrappedConvolution>(UnetrBlockShape{in, classes, {1, 1, 1}}, dimensions, false, true));
}

}  // namespace m3d
