#include "architectures/transunet/resnet_v2.h"

namespace m3d {
namespace {

std::shared_ptr<Convolution> standardised_convolution(std::int64_t in, std::int64_t out, std::int64_t k,
                                                      std::int64_t stride) {
  auto shape = square_convolution(in, out, k, stride, false);
  shape.weight_standardisation = true, shape.standardisation_eps = 1e-5;
  return std::make_shared<Convolution>(shape);
}

std::shared_ptr<VolumeNorm> group_norm(std::int64_t channels) {
  return std::make_shared<VolumeNorm>(VolumeNormShape{"GN", channels, 1e-6, true, 32});
}

/// Zeros below and to the right up to `edge`: pooling without padding leaves the finer features one voxel short.
torch::Tensor padded(const torch::Tensor& slices, std::int64_t edge) {
  if (slices.size(2) == edge) return slices;
  return torch::constant_pad_nd(slices, {0, edge - slices.size(3), 0, edge - slices.size(2)});
}

}  // namespace

BottleneckUnit::BottleneckUnit(std::int64_t in, std::int64_t middle, std::int64_t out, std::int64_t stride) {
  gn1_ = register_module("gn1", group_norm(middle));
  conv1_ = register_module("conv1", standardised_convolution(in, middle, 1, 1));
  gn2_ = register_module("gn2", group_norm(middle));
  conv2_ = register_module("conv2", standardised_convolution(middle, middle, 3, stride));
  gn3_ = register_module("gn3", group_norm(out));
  conv3_ = register_module("conv3", standardised_convolution(middle, out, 1, 1));
  if (stride == 1 && in == out) return;
  downsample_ = register_module("downsample", standardised_convolution(in, out, 1, stride));
  gn_proj_ = register_module("gn_proj", std::make_shared<VolumeNorm>("IN", out));
}

torch::Tensor BottleneckUnit::forward(const torch::Tensor& x) {
  const auto shortcut = downsample_ ? gn_proj_->forward(downsample_->forward(x)) : x;
  auto y = gn1_->forward(conv1_->forward(x)).relu_();
  y = gn2_->forward(conv2_->forward(y)).relu_();
  y = gn3_->forward(conv3_->forward(y));
  return y.add_(shortcut).relu_();
}

ResnetV2::ResnetV2(std::int64_t channels, const std::vector<std::int64_t>& units, std::int64_t width) {
  const auto root = register_module("root", std::make_shared<torch::nn::Module>());
  root_ = root->register_module("conv", standardised_convolution(channels, width, 7, 2));
  root_norm_ = root->register_module("gn", group_norm(width));
  const auto body = register_module("body", std::make_shared<torch::nn::Module>());
  std::int64_t in = width;
  for (std::size_t block = 0; block < units.size(); ++block) {
    const auto list = body->register_module("block" + std::to_string(block + 1), std::make_shared<torch::nn::Module>());
    const std::int64_t middle = width << block, out = 4 * middle;
    blocks_.emplace_back();
    for (std::int64_t unit = 1; unit <= units[block]; ++unit) {
      const std::int64_t stride = block > 0 && unit == 1 ? 2 : 1;
      blocks_.back().push_back(list->register_module(
          "unit" + std::to_string(unit), std::make_shared<BottleneckUnit>(unit == 1 ? in : out, middle, out, stride)));
    }
    in = out;
  }
}

ResnetFeatures ResnetV2::forward(const torch::Tensor& slices) {
  ResnetFeatures features;
  auto x = root_norm_->forward(root_->forward(slices)).relu_();
  features.skips.push_back(x);
  x = torch::max_pool2d(x, 3, 2);
  std::int64_t edge = slices.size(2) / 2;
  for (const auto& block : blocks_) {
    for (const auto& unit : block) x = unit->forward(x);
    edge /= 2;
    if (&block != &blocks_.back()) features.skips.insert(features.skips.begin(), padded(x, edge));
  }
  features.deepest = x;
  return features;
}

}  // namespace m3d
