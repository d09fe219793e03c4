#include "architectures/umamba/umamba_blocks.h"

#include "architectures/blocks/full_precision.h"
#include "architectures/blocks/unet_network.h"
#include "common/error.h"

namespace m3d {
namespace {

std::shared_ptr<VolumeNorm> norm_of(const UnitStyle& style, std::int64_t channels) {
  if (!style.norm) return nullptr;
  VolumeNormShape shape = *style.norm;
  shape.channels = channels;
  return std::make_shared<VolumeNorm>(shape);
}

std::shared_ptr<Convolution> convolution_of(std::int64_t in, std::int64_t out, const Triple& kernel,
                                            const Triple& stride, int dimensions) {
  ConvolutionShape shape;
  shape.in = in, shape.out = out, shape.kernel = kernel, shape.stride = stride, shape.dimensions = dimensions;
  for (std::size_t axis = 0; axis < 3; ++axis) shape.padding[axis] = kernel[axis] / 2;
  return std::make_shared<Convolution>(shape);
}

}  // namespace

MambaLayer::MambaLayer(const MambaLayerShape& shape) : shape_(shape) {
  norm_ = register_module("norm", std::make_shared<LayerNorm>(shape.dim, 1e-5));
  if (!shape.mixer) return;
  TokenMixerShape mixer = plain_mamba(shape.dim, shape.d_state, shape.d_conv, shape.expand);
  mixer.checkpointed = shape.checkpointed;
  mamba_ = register_module("mamba", std::make_shared<TokenMixer>(mixer));
}

torch::Tensor MambaLayer::forward(const torch::Tensor& volume) {
  const FullPrecision no_autocast(volume.device());
  const auto x = FullPrecision::of(volume);
  auto tokens = shape_.channel_token ? x.flatten(2) : tokens_of(x);
  if (tokens.size(2) != shape_.dim)
    throw UserError("U-Mamba: this stage takes its " + std::to_string(volume.size(1)) +
                    " channels as tokens and was built for " + std::to_string(shape_.dim) + " voxels, got " +
                    std::to_string(tokens.size(2)) + "; the image must have the size of the network's patch");
  tokens = norm_->forward(tokens);
  if (mamba_) tokens = mamba_->forward(tokens, {1, 1, tokens.size(1)});
  if (shape_.channel_token) return tokens.reshape(x.sizes()).contiguous(channels_last(x));
  return tokens.transpose(1, 2).reshape(x.sizes());
}

ProjectedUnit::ProjectedUnit(std::int64_t in, std::int64_t out, const Triple& kernel, const Triple& stride,
                             const UnitStyle& style, bool projection)
    : style_(style) {
  constexpr Triple one{1, 1, 1};
  conv1_ = register_module("conv1", convolution_of(in, out, kernel, stride, style.dimensions));
  if ((norm1_ = norm_of(style, out))) register_module("norm1", norm1_);
  conv2_ = register_module("conv2", convolution_of(out, out, kernel, one, style.dimensions));
  if ((norm2_ = norm_of(style, out))) register_module("norm2", norm2_);
  if (projection) conv3_ = register_module("conv3", convolution_of(in, out, one, stride, style.dimensions));
}

torch::Tensor ProjectedUnit::forward(const torch::Tensor& x) {
  auto y = conv1_->forward(x);
  if (norm1_) y = norm1_->forward(y);
  y = conv2_->forward(activate(y, style_.activation, style_.negative_slope));
  if (norm2_) y = norm2_->forward(y);
  y = y + (conv3_ ? conv3_->forward(x) : x);
  return activate(y, style_.activation, style_.negative_slope);
}

ProjectedUnits::ProjectedUnits(std::int64_t count, std::int64_t in, std::int64_t out, const Triple& kernel,
                               const Triple& stride, const UnitStyle& style) {
  first_ = register_module("0", std::make_shared<ProjectedUnit>(in, out, kernel, stride, style));
  ResidualShape residual;
  residual.kernel = kernel;
  for (std::int64_t i = 1; i < count; ++i)
    others_.push_back(
        register_module(std::to_string(i), std::make_shared<ResidualUnit>(out, out, residual, Triple{1, 1, 1}, style)));
}

torch::Tensor ProjectedUnits::forward(const torch::Tensor& x) {
  auto y = first_->forward(x);
  for (const auto& unit : others_) y = unit->forward(y);
  return y;
}

NearestUp::NearestUp(std::int64_t in, std::int64_t out, const Triple& factor, int dimensions) : factor_(factor) {
  conv_ = register_module("conv", convolution_of(in, out, {1, 1, 1}, {1, 1, 1}, dimensions));
}

torch::Tensor NearestUp::forward(const torch::Tensor& x) {
  const auto times = [&](std::int64_t axis, std::size_t factor) { return x.size(axis) * factor_[factor]; };
  const auto up = x.dim() == 5 ? torch::upsample_nearest3d(x, {times(2, 0), times(3, 1), times(4, 2)})
                               : torch::upsample_nearest2d(x, {times(2, 1), times(3, 2)});
  return conv_->forward(up);
}

}  // namespace m3d
