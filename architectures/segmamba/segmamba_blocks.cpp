#include "architectures/segmamba/segmamba_blocks.h"

namespace m3d {
namespace {

std::shared_ptr<Convolution> cube(std::int64_t in, std::int64_t out, std::int64_t kernel) {
  return std::make_shared<Convolution>(cubic_convolution(in, out, kernel, 1, true));
}

}  // namespace

GatedConvolution::GatedConvolution(std::int64_t channels, bool paper) : product_(paper), channels_(channels) {
  proj_ = register_module("proj", cube(channels, channels, 3));
  proj2_ = register_module("proj2", cube(channels, channels, 3));
  proj3_ = register_module("proj3", cube(channels, channels, 1));
  proj4_ = register_module("proj4", cube(channels, channels, paper ? 3 : 1));
}

torch::Tensor GatedConvolution::forward(const torch::Tensor& volume) {
  // Instance norm as group norm: see VolumeNorm.
  const auto unit = [this](const Convolution& convolution, const torch::Tensor& x) {
    return activate(torch::group_norm(convolution.forward(x), channels_), "ReLU");
  };
  const auto local = unit(*proj2_, unit(*proj_, volume)), gate = unit(*proj3_, volume);
  return unit(*proj4_, product_ ? local * gate : local + gate) + volume;
}

TokenMixerShape tri_orientated_mamba(const ToMShape& shape) {
  TokenMixerShape mixer = plain_mamba(shape.dim, shape.d_state, shape.d_conv, shape.expand, shape.dt_rank);
  mixer.shared_parameters = mixer.mean_merge = false;
  mixer.checkpointed = shape.checkpointed;
  if (!shape.three) return mixer;
  ScanBranch backwards{"_b", scan_order("reversed")}, across{"_s", sliced_order(shape.slices)};
  backwards.A_log = "A_b_log", across.A_log = "A_s_log";
  backwards.dt_initialised = across.dt_initialised = false;
  mixer.branches.push_back(backwards);
  mixer.branches.push_back(across);
  return mixer;
}

ToMLayer::ToMLayer(const ToMShape& shape) {
  norm_ = register_module("norm", std::make_shared<LayerNorm>(shape.dim, 1e-5));
  mamba_ = register_module("mamba", std::make_shared<TokenMixer>(tri_orientated_mamba(shape)));
}

torch::Tensor ToMLayer::forward(const torch::Tensor& volume) {
  const auto mixed = mamba_->forward(norm_->forward(tokens_of(volume)), grid_of(volume));
  return volume + volume_of(mixed, grid_of(volume));
}

ChannelMlp::ChannelMlp(std::int64_t channels, std::int64_t hidden) {
  fc1_ = register_module("fc1", cube(channels, hidden, 1));
  fc2_ = register_module("fc2", cube(hidden, channels, 1));
}

torch::Tensor ChannelMlp::forward(const torch::Tensor& volume) {
  return fc2_->forward(torch::gelu(fc1_->forward(volume)));
}

torch::Tensor weighted_by_certainty(const torch::Tensor& volume) {
  const auto mean = volume.mean(1, /*keepdim=*/true);
  const auto uncertainty = -torch::sigmoid(mean) * torch::log_sigmoid(mean);
  return volume + volume * (1 - uncertainty);
}

}  // namespace m3d
