#include "architectures/mednext/mednext_block.h"

#include "kernels/depthwise_conv3d/depthwise_conv3d.h"

namespace m3d {
namespace {

ConvolutionShape convolution(const MednextBlockShape& block, std::int64_t in, std::int64_t out, std::int64_t kernel) {
  auto shape = cubic_convolution(in, out, kernel, 1, true);
  shape.dimensions = block.dimensions;
  return shape;
}

/// The resampling form: stride 2, transposed where the block goes up.
ConvolutionShape strided(ConvolutionShape shape, Resampling resampling) {
  if (resampling != Resampling::none) shape.stride.fill(2);
  shape.transposed = resampling == Resampling::up;
  return shape;
}

}  // namespace

MednextBlock::MednextBlock(const MednextBlockShape& shape) : shape_(shape) {
  const std::int64_t inner = shape.expansion * shape.in;
  if (shape.grn) {
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(shape.dimensions) + 2, 1);
    sizes[1] = inner;
    grn_beta_ = register_parameter("grn_beta", new_parameter(sizes));
    grn_gamma_ = register_parameter("grn_gamma", new_parameter(sizes));
  }
  auto depthwise = strided(convolution(shape, shape.in, shape.in, shape.kernel), shape.resampling);
  depthwise.groups = shape.in;
  conv1_ = register_module("conv1", std::make_shared<Convolution>(depthwise));
  if (shape.layer_norm)
    layer_norm_ = register_module("norm", std::make_shared<LayerNorm>(shape.in, 1e-5));
  else
    group_norm_ = register_module("norm", std::make_shared<VolumeNorm>("IN", shape.in));
  conv2_ = register_module("conv2", std::make_shared<Convolution>(convolution(shape, shape.in, inner, 1)));
  conv3_ = register_module("conv3", std::make_shared<Convolution>(convolution(shape, inner, shape.out, 1)));
  if (shape.resampling == Resampling::none || !shape.residual) return;
  res_conv_ = register_module(
      "res_conv", std::make_shared<Convolution>(strided(convolution(shape, shape.in, shape.out, 1), shape.resampling)));
}

/// Without stride by the kernel of ours, for which a slice is a volume of depth 1.
torch::Tensor MednextBlock::depthwise(const torch::Tensor& x) const {
  if (shape_.resampling != Resampling::none) return conv1_->forward(x);
  const bool slices = shape_.dimensions == 2;
  const auto volume = slices ? x.unsqueeze(2) : x;
  const auto kernel = slices ? conv1_->weight.unsqueeze(2) : conv1_->weight;
  const auto y = depthwise_conv3d(volume.movedim(1, -1), kernel, conv1_->bias).movedim(-1, 1);
  return slices ? y.squeeze(2) : y;
}

/// (On slices the released layer norm multiplies its weight onto the batch axis; here it is per channel there too.)
torch::Tensor MednextBlock::normalised(const torch::Tensor& x) {
  if (group_norm_) return group_norm_->forward(x);
  return layer_norm_->forward(x.movedim(1, -1)).movedim(-1, 1);
}

/// Global response normalisation (ConvNeXt V2, arXiv:2301.00808), its shortcut within the factor.
torch::Tensor MednextBlock::with_response_norm(const torch::Tensor& x) const {
  std::vector<std::int64_t> space{2, 3};
  if (x.dim() == 5) space.push_back(4);
  const auto response = torch::linalg_vector_norm(x, 2, space, /*keepdim=*/true);
  const auto relative = response / (response.mean(1, true) + 1e-6);
  return torch::addcmul(grn_beta_, x, grn_gamma_ * relative + 1);
}

torch::Tensor MednextBlock::forward(const torch::Tensor& x) {
  auto inner = torch::gelu(conv2_->forward(normalised(depthwise(x))));
  if (shape_.grn) inner = with_response_norm(inner);
  auto y = conv3_->forward(inner);
  if (shape_.residual) y = y + (res_conv_ ? res_conv_->forward(x) : x);
  if (shape_.resampling != Resampling::up) return y;
  // A transposed convolution of stride 2 gives 2n - 1 voxels: one of zeros comes in front of them.
  std::vector<std::int64_t> front;
  for (int axis = 0; axis < shape_.dimensions; ++axis) front.insert(front.end(), {1, 0});
  return torch::constant_pad_nd(y, front);
}

}  // namespace m3d
