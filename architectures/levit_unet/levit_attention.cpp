#include "architectures/levit_unet/levit_attention.h"

#include <cmath>

namespace m3d {
namespace {

/// |step * i - j| for every query i and token j along one axis.
torch::Tensor axis_distances(std::int64_t queries, std::int64_t tokens, std::int64_t step) {
  return (torch::arange(queries).mul(step).unsqueeze(1) - torch::arange(tokens).unsqueeze(0)).abs();
}

/// The bias of query (y, x) and token (y', x') has the index |dy| * tokens + |dx|.
torch::Tensor pair_distances(std::int64_t queries, std::int64_t tokens, std::int64_t step) {
  const auto axis = axis_distances(queries, tokens, step);
  const auto rows = axis.view({queries, 1, tokens, 1}), columns = axis.view({1, queries, 1, tokens});
  return (rows * tokens + columns).reshape({queries * queries, tokens * tokens});
}

}  // namespace

LinearBatchNorm::LinearBatchNorm(std::int64_t in, std::int64_t out) {
  c_ = register_module("c", std::make_shared<Linear>(in, out, false));
  bn_ = register_module("bn", std::make_shared<VolumeNorm>("BN", out));
}

torch::Tensor LinearBatchNorm::forward(const torch::Tensor& tokens) {
  const auto x = c_->forward(tokens);
  return bn_->forward(x.flatten(0, 1)).view_as(x);
}

StridedConvolutionBatchNorm::StridedConvolutionBatchNorm(std::int64_t in, std::int64_t out) {
  c_ = register_module("c", std::make_shared<Convolution>(square_convolution(in, out, 3, 2, false)));
  bn_ = register_module("bn", std::make_shared<VolumeNorm>("BN", out));
}

torch::Tensor StridedConvolutionBatchNorm::forward(const torch::Tensor& slices) {
  return bn_->forward(c_->forward(slices));
}

LevitAttention::LevitAttention(const LevitAttentionShape& shape, bool downsample) : shape_(shape) {
  const auto& [dim, out, key_dim, heads, value_dim, resolution, activation] = shape;
  attention_biases_ = register_parameter("attention_biases", new_parameter({heads, resolution * resolution}));
  if (downsample) {
    projections_ = register_module("kv", std::make_shared<LinearBatchNorm>(dim, heads * (key_dim + value_dim)));
    const auto queries = register_module("q", std::make_shared<torch::nn::Module>());
    q_ = queries->register_module("1", std::make_shared<LinearBatchNorm>(dim, heads * key_dim));
  } else {
    projections_ = register_module("qkv", std::make_shared<LinearBatchNorm>(dim, heads * (2 * key_dim + value_dim)));
  }
  const auto last = register_module("proj", std::make_shared<torch::nn::Module>());
  proj_ = last->register_module("1", std::make_shared<LinearBatchNorm>(heads * value_dim, out));
  distances_ = pair_distances(downsample ? (resolution + 1) / 2 : resolution, resolution, downsample ? 2 : 1);
}

torch::Tensor LevitAttention::every_second(const torch::Tensor& tokens) const {
  const auto grid = tokens.unflatten(1, {shape_.resolution, shape_.resolution});
  return grid.slice(1, 0, std::nullopt, 2).slice(2, 0, std::nullopt, 2).flatten(1, 2);
}

/// [1, heads, queries, tokens].
torch::Tensor LevitAttention::biases() {
  if (distances_.device() != attention_biases_.device()) distances_ = distances_.to(attention_biases_.device());
  return attention_biases_.index({torch::indexing::Slice(), distances_}).unsqueeze(0);
}

torch::Tensor LevitAttention::forward(const torch::Tensor& tokens) {
  const auto split_heads = [this](const torch::Tensor& x) {
    return x.unflatten(-1, {shape_.heads, -1}).transpose(1, 2);
  };
  std::vector<std::int64_t> widths{shape_.key_dim, shape_.value_dim};
  if (!q_) widths.insert(widths.begin(), shape_.key_dim);
  auto parts = split_heads(projections_->forward(tokens)).split_with_sizes(widths, -1);
  if (q_) parts.insert(parts.begin(), split_heads(q_->forward(every_second(tokens))));
  const auto mixed = torch::scaled_dot_product_attention(parts[0], parts[1], parts[2], biases(), 0.0, false,
                                                         1.0 / std::sqrt(static_cast<double>(shape_.key_dim)));
  // A copy, since attention's backward pass may need its output and the activation works in place.
  return proj_->forward(activate(mixed.transpose(1, 2).flatten(2).clone(), shape_.activation));
}

LevitMlp::LevitMlp(std::int64_t width, std::int64_t inner, const std::string& activation) : activation_(activation) {
  first_ = register_module("0", std::make_shared<LinearBatchNorm>(width, inner));
  second_ = register_module("2", std::make_shared<LinearBatchNorm>(inner, width));
}

torch::Tensor LevitMlp::forward(const torch::Tensor& tokens) {
  return second_->forward(activate(first_->forward(tokens), activation_));
}

}  // namespace m3d
