#include "architectures/cotr/deformable_transformer.h"

#include <numbers>

#include "architectures/blocks/initialise.h"
#include "architectures/blocks/linear_interpolation.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr double kNormEps = 1e-5, kTurn = 2 * std::numbers::pi;

/// Half precision would move points by whole voxels: coordinates are single at least.
torch::TensorOptions coordinates_like(const torch::Tensor& like) {
  const auto precise = like.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
  return torch::TensorOptions().dtype(precise).device(like.device());
}

/// The centres of the cells of an axis, in [0, 1].
torch::Tensor centres(std::int64_t size, const torch::TensorOptions& options) {
  return (torch::arange(size, options) + 0.5) / static_cast<double>(size);
}

/// Centres of all voxels [D, H, W, 3] in the original's order (D, W, H).
torch::Tensor reference_points(const Grid& grid, const torch::TensorOptions& options) {
  const auto axes =
      torch::meshgrid({centres(grid[0], options), centres(grid[1], options), centres(grid[2], options)}, "ij");
  return torch::stack({axes[0], axes[2], axes[1]}, -1);
}

/// Channels k of one axis: sine (k even) or cosine of the coordinate over 10000^(3 * floor(k / 3) / count).
torch::Tensor axis_code(std::int64_t size, std::int64_t count, const torch::TensorOptions& options) {
  const auto coordinate = (torch::arange(size, options) + 0.5) / (static_cast<double>(size) + 1e-6) * kTurn;
  const auto exponent = torch::arange(count, options).div(3, "floor") * 3 / static_cast<double>(count);
  const auto angles = (coordinate.unsqueeze(1) / torch::pow(10000.0, exponent)).unflatten(1, {-1, 2});
  return torch::stack({angles.select(2, 0).sin(), angles.select(2, 1).cos()}, 2).flatten(1);
}

}  // namespace

void require_position_width(std::int64_t width) {
  const std::int64_t third = width / 3, first = width - 2 * third;
  if (third > 0 && third % 2 == 0 && first % 2 == 0) return;
  throw UserError(
      "option 'd_model': a third of the width goes to each axis, as sines and cosines, and the rest to the "
      "first; these must be even, got " +
      std::to_string(width) + "; a multiple of 6 will do");
}

torch::Tensor cotr_position_code(const Grid& grid, std::int64_t width, const torch::Tensor& like) {
  const auto options = coordinates_like(like);
  const std::int64_t third = width / 3, first = width - 2 * third;
  const auto place = [&](const torch::Tensor& code, std::array<std::int64_t, 3> sizes) {
    return code.view({sizes[0], sizes[1], sizes[2], -1}).expand({grid[0], grid[1], grid[2], -1});
  };
  return torch::cat({place(axis_code(grid[0], first, options), {grid[0], 1, 1}),
                     place(axis_code(grid[1], third, options), {1, grid[1], 1}),
                     place(axis_code(grid[2], third, options), {1, 1, grid[2]})},
                    -1)
      .view({1, voxels(grid), width});
}

DeformableAttention::DeformableAttention(const DeformableShape& shape) : shape_(shape) {
  const auto& [width, heads, points, levels, layers, hidden, dropout, activation] = shape_;
  if (heads < 1 || width % heads != 0)
    throw UserError("option 'nhead': " + std::to_string(width) + " channels cannot be split over " +
                    std::to_string(heads) + " heads; choose a number of heads that divides d_model");
  const std::int64_t samples = heads * levels * points;
  sampling_offsets_ = register_module("sampling_offsets", std::make_shared<Linear>(width, 3 * samples, true));
  attention_weights_ = register_module("attention_weights", std::make_shared<Linear>(width, samples, true));
  value_proj_ = register_module("value_proj", std::make_shared<Linear>(width, width, true));
  output_proj_ = register_module("output_proj", std::make_shared<Linear>(width, width, true));
}

/// `values` [B, L, M, c] of one level, `places` [B, M, Lq, P, 3] in [-1, 1] → [B*M, c, Lq, P].
torch::Tensor DeformableAttention::sampled(const torch::Tensor& values, const torch::Tensor& places,
                                           const Grid& grid) const {
  // A head's channels lie side by side, as the sampler reads them.
  const auto volumes = values.transpose(1, 2).flatten(0, 1).unflatten(1, {grid[0], grid[1], grid[2]});
  // In the places' type: coordinates of 16 bits would miss their voxel.
  return sampled_linear(volumes.permute({0, 4, 1, 2, 3}).to(places.scalar_type()), places.flatten(0, 1));
}

torch::Tensor DeformableAttention::forward(const torch::Tensor& query, const torch::Tensor& tokens,
                                           const torch::Tensor& reference, const std::vector<Grid>& grids) const {
  const auto& [width, heads, points, levels, layers, hidden, dropout, activation] = shape_;
  const std::int64_t batch = query.size(0), length = query.size(1);
  const auto values = value_proj_->forward(tokens).view({batch, length, heads, width / heads});
  const auto offsets = sampling_offsets_->forward(query).view({batch, length, heads, levels, points, 3});
  const auto weights = attention_weights_->forward(query).view({batch, length, heads, levels * points}).softmax(-1);
  torch::Tensor sum;
  std::int64_t start = 0;
  for (std::int64_t level = 0; level < levels; ++level) {
    const Grid& grid = grids[static_cast<std::size_t>(level)];
    // The original's order (D, W, H) meets the sampler's (W, H, D): its points are where it puts them, and so are ours.
    const auto sizes = torch::tensor({grid[0], grid[2], grid[1]}, torch::TensorOptions().dtype(reference.dtype()))
                           .to(reference.device());
    const auto places = 2 * (reference + offsets.select(3, level) / sizes) - 1;
    const auto read = sampled(values.narrow(1, start, voxels(grid)), places.transpose(1, 2), grid);
    const auto weight = weights.narrow(3, level * points, points).transpose(1, 2).reshape({-1, 1, length, points});
    const auto part = (read * weight).sum(-1);
    sum = level == 0 ? part : sum + part;
    start += voxels(grid);
  }
  return output_proj_->forward(sum.view({batch, width, length}).transpose(1, 2));
}

void DeformableAttention::initialise(const ParameterRandom& random, const std::string& name) {
  const auto angles = torch::arange(shape_.heads, torch::kFloat32) * (kTurn / static_cast<double>(shape_.heads));
  const auto directions = torch::stack({angles.cos(), angles.sin() * angles.cos(), angles.sin() * angles.sin()}, -1);
  const auto steps = directions / directions.abs().amax(-1, true);
  const auto distances = torch::arange(1, shape_.points + 1, torch::kFloat32).view({1, 1, -1, 1});
  sampling_offsets_->weight.zero_();
  sampling_offsets_->bias.copy_(
      (steps.view({-1, 1, 1, 3}) * distances).expand({-1, shape_.levels, -1, -1}).reshape({-1}));
  attention_weights_->weight.zero_();
  attention_weights_->bias.zero_();
  for (const auto& [layer, place] : {std::pair{value_proj_, ".value_proj"}, std::pair{output_proj_, ".output_proj"}}) {
    xavier_uniform(layer->weight, random, name + place + ".weight");
    layer->bias.zero_();
  }
}

DeformableLayer::DeformableLayer(const DeformableShape& shape)
    : activation_(shape.activation), dropout_(std::make_shared<Dropout>(shape.dropout)) {
  self_attn_ = register_module("self_attn", std::make_shared<DeformableAttention>(shape));
  norm1_ = register_module("norm1", std::make_shared<LayerNorm>(shape.width, kNormEps));
  linear1_ = register_module("linear1", std::make_shared<Linear>(shape.width, shape.hidden, true));
  linear2_ = register_module("linear2", std::make_shared<Linear>(shape.hidden, shape.width, true));
  norm2_ = register_module("norm2", std::make_shared<LayerNorm>(shape.width, kNormEps));
  register_module("dropout", dropout_);
}

torch::Tensor DeformableLayer::forward(torch::Tensor tokens, const torch::Tensor& position,
                                       const torch::Tensor& reference, const std::vector<Grid>& grids) {
  const auto read = self_attn_->forward(tokens + position, tokens, reference, grids);
  tokens = norm1_->forward(tokens + dropout_->forward(read));
  const auto inner = dropout_->forward(activate(linear1_->forward(tokens), activation_));
  return norm2_->forward(tokens + dropout_->forward(linear2_->forward(inner)));
}

DeformableTransformer::DeformableTransformer(const DeformableShape& shape) {
  require_position_width(shape.width);
  level_embed_ = register_parameter("level_embed", new_parameter({shape.levels, shape.width}));
  const auto list = register_module("encoder", std::make_shared<torch::nn::Module>("Encoder"))
                        ->register_module("layers", std::make_shared<torch::nn::Module>("ModuleList"));
  for (std::int64_t i = 0; i < shape.layers; ++i)
    layers_.push_back(list->register_module(std::to_string(i), std::make_shared<DeformableLayer>(shape)));
}

std::vector<torch::Tensor> DeformableTransformer::forward(const std::vector<torch::Tensor>& levels) {
  std::vector<torch::Tensor> all, positions, references;
  std::vector<Grid> grids;
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    grids.push_back(grid_of(levels[i])), lengths.push_back(voxels(grids[i]));
    all.push_back(tokens_of(levels[i]));
    positions.push_back(cotr_position_code(grids[i], level_embed_.size(1), levels[i]) +
                        level_embed_[static_cast<std::int64_t>(i)]);
    references.push_back(reference_points(grids[i], coordinates_like(levels[i])).flatten(0, 2));
  }
  auto tokens = torch::cat(all, 1);
  const auto position = torch::cat(positions, 1);
  const auto reference = torch::cat(references, 0).view({1, tokens.size(1), 1, 1, 3});
  for (auto& layer : layers_) tokens = layer->forward(tokens, position, reference, grids);
  auto outputs = tokens.split_with_sizes(lengths, 1);
  for (std::size_t i = 0; i < levels.size(); ++i) outputs[i] = volume_of(outputs[i], grids[i]);
  return outputs;
}

void DeformableTransformer::initialise(const ParameterRandom& random, const std::string& name) {
  const auto xavier = [&](Linear& linear, const std::string& place) {
    xavier_uniform(linear.weight, random, name + "." + place + ".weight");
  };
  for_each_layer<Linear>(*this, xavier);
  for_each_layer<DeformableAttention>(*this, [&](DeformableAttention& attention, const std::string& place) {
    attention.initialise(random, name + "." + place);
  });
  random.normal(level_embed_, name + ".level_embed", 1.0);
}

}  // namespace m3d
