#include "architectures/blocks/bilinear_decoder.h"

#include "architectures/blocks/linear_interpolation.h"

namespace m3d {

torch::Tensor resized_bilinear(const torch::Tensor& slices, std::int64_t height, std::int64_t width) {
  return resized_linear(slices, {height, width}, /*align_corners=*/true);
}

torch::Tensor doubled_bilinear(const torch::Tensor& slices) {
  return resized_bilinear(slices, 2 * slices.size(2), 2 * slices.size(3));
}

ConvolutionBatchNormRelu::ConvolutionBatchNormRelu(std::int64_t in, std::int64_t out) {
  convolution_ = register_module("0", std::make_shared<Convolution>(square_convolution(in, out, 3, 1, false)));
  norm_ = register_module("1", std::make_shared<VolumeNorm>("BN", out));
}

torch::Tensor ConvolutionBatchNormRelu::forward(const torch::Tensor& slices) {
  return norm_->forward(convolution_->forward(slices)).relu_();
}

BilinearDecoderBlock::BilinearDecoderBlock(std::int64_t in, std::int64_t out) {
  conv1_ = register_module("conv1", std::make_shared<ConvolutionBatchNormRelu>(in, out));
  conv2_ = register_module("conv2", std::make_shared<ConvolutionBatchNormRelu>(out, out));
}

torch::Tensor BilinearDecoderBlock::forward(const torch::Tensor& slices, const torch::Tensor& skip) {
  auto x = doubled_bilinear(slices);
  if (skip.defined()) x = torch::cat({x, skip}, 1);
  return conv2_->forward(conv1_->forward(x));
}

}  // namespace m3d
