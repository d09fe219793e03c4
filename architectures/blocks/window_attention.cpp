#include "architectures/blocks/window_attention.h"

#include <cmath>
#include <numeric>

#include "architectures/blocks/checkpoint.h"
#include "architectures/blocks/initialise.h"
#include "common/error.h"
#include "common/strict_yaml.h"

namespace m3d {
namespace {

constexpr double kNormEps = 1e-5;
constexpr const char* kTable = "relative_position_bias_table";

/// How many offsets a window has along each axis.
Grid offsets_of(const Grid& window) { return {2 * window[0] - 1, 2 * window[1] - 1, 2 * window[2] - 1}; }

/// Rows of the table by which one step along each axis moves.
Grid row_strides(const WindowAttentionShape& shape) {
  const Grid offsets = offsets_of(shape.window);
  if (shape.rows == PositionRows::nnformer) return {3 * shape.window[1] - 1, offsets[1], 1};
  return {offsets[1] * offsets[2], offsets[2], 1};
}

void require_valid(const WindowAttentionShape& shape) {
  if (shape.heads < 1 || shape.dim % shape.heads != 0)
    throw UserError("window attention: " + std::to_string(shape.dim) + " channels cannot be split over " +
                    std::to_string(shape.heads) + " heads; choose a number of heads that divides the width");
  const Grid offsets = offsets_of(shape.window), strides = row_strides(shape);
  std::int64_t last = 0;
  for (int axis = 0; axis < 3; ++axis) last += (offsets[axis] - 1) * strides[axis];
  if (last >= voxels(offsets))
    throw UserError("window attention: nnFormer's position rows leave the table for windows of " +
                    Json(shape.window).dump() + " tokens; make the last axis of window_size longer");
}

/// Row of every offset [2d-1, 2h-1, 2w-1], flat.
torch::Tensor offset_rows(const WindowAttentionShape& shape, const torch::Device& device) {
  const Grid offsets = offsets_of(shape.window), strides = row_strides(shape);
  auto rows = torch::zeros({1}, torch::dtype(torch::kLong).device(device));
  for (int axis = 0; axis < 3; ++axis)
    rows = (rows.unsqueeze(1) + torch::arange(offsets[axis], rows.options()) * strides[axis]).flatten();
  return rows;
}

/// Masks are constants: what they are added to keeps its gradient.
void add_masks(const torch::Tensor& scores, std::int64_t heads, const std::vector<WindowMask>& masks,
               const Grid& counts) {
  const torch::NoGradGuard no_grad;
  const std::int64_t tokens = scores.size(1);
  const auto by_window = scores.view({-1, counts[0], counts[1], counts[2], heads, tokens, tokens});
  for (const auto& mask : masks) {
    auto part = by_window;
    for (int axis = 0; axis < 3; ++axis) part = part.narrow(axis + 1, mask.first[axis], mask.counts[axis]);
    part.add_(mask.values);
  }
}

}  // namespace

WindowAttention::WindowAttention(const WindowAttentionShape& shape) : shape_(shape) {
  require_valid(shape);
  table_ = register_parameter(kTable, new_parameter({voxels(offsets_of(shape.window)), shape.heads}));
  qkv_ =
      register_module(shape.projects_query ? "qkv" : "kv",
                      std::make_shared<Linear>(shape.dim, (shape.projects_query ? 3 : 2) * shape.dim, shape.qkv_bias));
  attn_drop_ = register_module("attn_drop", std::make_shared<Dropout>(shape.attention_dropout));
  proj_ = register_module("proj", std::make_shared<Linear>(shape.dim, shape.dim, true));
  proj_drop_ = register_module("proj_drop", std::make_shared<Dropout>(shape.dropout));
}

torch::Tensor WindowAttention::position_bias(std::int64_t tokens) const {
  Grid window = shape_.window;
  const Grid offsets = offsets_of(window);
  const auto rows =
      shape_.rows == PositionRows::distinct ? table_ : torch::embedding(table_, offset_rows(shape_, table_.device()));
  auto by_offset = rows.view({offsets[0], offsets[1], offsets[2], shape_.heads}).permute({3, 0, 1, 2});
  // Fewer tokens than the window has lie in its first planes.
  const std::int64_t planes = (tokens + window[1] * window[2] - 1) / (window[1] * window[2]);
  by_offset = by_offset.narrow(1, window[0] - planes, 2 * planes - 1);
  window[0] = planes;
  // Sliding along an axis of offsets gives, for every position i, its offsets from the last position j down.
  for (int axis = 0; axis < 3; ++axis) by_offset = by_offset.unfold(axis + 1, window[axis], 1);
  const auto bias = by_offset.flip({4, 5, 6}).reshape({shape_.heads, voxels(window), voxels(window)});
  return bias.narrow(1, 0, tokens).narrow(2, 0, tokens);
}

/// Query, key and value, [B * windows * heads, N, C / heads] each.
std::vector<torch::Tensor> WindowAttention::projected(const torch::Tensor& source, const torch::Tensor& query) const {
  const std::int64_t per_head = shape_.dim / shape_.heads;
  const auto split_heads = [&](const torch::Tensor& x, std::int64_t parts) {
    return x.view({x.size(0), x.size(1), parts, shape_.heads, per_head})
        .permute({2, 0, 3, 1, 4})
        .contiguous()
        .flatten(1, 2)
        .unbind(0);
  };
  auto parts = split_heads(qkv_->forward(source), shape_.projects_query ? 3 : 2);
  if (!shape_.projects_query) parts.insert(parts.begin(), split_heads(query.to(parts[0].dtype()), 1)[0]);
  return parts;
}

torch::Tensor WindowAttention::forward(const torch::Tensor& source, const torch::Tensor& query,
                                       const std::vector<WindowMask>& masks, const Grid& counts) const {
  const std::int64_t batch = source.size(0), tokens = source.size(1), heads = shape_.heads;
  const auto parts = projected(source, query);
  const auto bias = position_bias(tokens).to(parts[0].dtype()).expand({batch, heads, tokens, tokens});
  // The products are added to the bias in place, which leaves out two passes over the largest tensor here (fused
  // attention with a bias that learns is slower). No view, so that autograd need not copy it either.
  auto scores = at::_unsafe_view(bias.clone(torch::MemoryFormat::Contiguous), {batch * heads, tokens, tokens});
  add_masks(scores, heads, masks, counts);
  const double scale = shape_.scale.value_or(1 / std::sqrt(static_cast<double>(shape_.dim / heads)));
  scores = scores.baddbmm_(parts[0], parts[1].transpose(1, 2), 1, scale);
  const auto weights = attn_drop_->forward(torch::softmax(scores, -1)).to(parts[2].dtype());
  const auto mixed = torch::bmm(weights, parts[2]).view({batch, heads, tokens, -1}).transpose(1, 2);
  return proj_drop_->forward(proj_->forward(mixed.reshape_as(source)));
}

WindowMlp::WindowMlp(std::int64_t dim, std::int64_t hidden, const std::array<std::string, 2>& names, double dropout) {
  in_ = register_module(names[0], std::make_shared<Linear>(dim, hidden, true));
  out_ = register_module(names[1], std::make_shared<Linear>(hidden, dim, true));
  drop_ = register_module("drop", std::make_shared<Dropout>(dropout));
}

torch::Tensor WindowMlp::forward(const torch::Tensor& tokens) const {
  const auto hidden = drop_->forward(torch::gelu(in_->forward(tokens)));
  return drop_->forward(out_->forward(hidden));
}

WindowBlock::WindowBlock(WindowBlockShape shape, const Grid& grid) : shape_(shape) {
  const Windows windows = fit_windows(shape.windows, grid);
  const std::int64_t dim = shape.attention.dim;
  shape.attention.window = shape.windows.fit == WindowFit::clamp ? shape.windows.size : windows.size;
  shape.attention.dropout = shape.dropout;
  if (shape.masked && shape.mask_in_state && windows.is_shifted())
    mask_ = register_buffer("attn_mask", full_shift_mask(windows, new_parameter({}).options()));
  norm1_ = register_module("norm1", std::make_shared<LayerNorm>(dim, kNormEps));
  attn_ = register_module("attn", std::make_shared<WindowAttention>(shape.attention));
  drop_path_ = register_module("drop_path", std::make_shared<DropPath>(shape.drop_path));
  norm2_ = register_module("norm2", std::make_shared<LayerNorm>(dim, kNormEps));
  const auto hidden = static_cast<std::int64_t>(static_cast<double>(dim) * shape.mlp_ratio);
  mlp_ = register_module("mlp", std::make_shared<WindowMlp>(dim, hidden, shape.mlp_names, shape.dropout));
}

std::vector<WindowMask> WindowBlock::masks(const Windows& windows, const torch::Tensor& like) const {
  if (!shape_.masked || !windows.is_shifted()) return {};
  if (!mask_.defined()) return shift_masks(windows, like.options());
  const Grid counts = windows.counts();
  const std::int64_t tokens = mask_.size(-1);
  return {{{}, counts, mask_.view({counts[0], counts[1], counts[2], 1, tokens, tokens})}};
}

torch::Tensor WindowBlock::forward(const torch::Tensor& tokens, const Grid& grid, const torch::Tensor& source,
                                   const torch::Tensor& query) const {
  const Windows windows = fit_windows(shape_.windows, grid);
  const auto cut = [&](const torch::Tensor& x) { return cut_windows(norm1_->forward(x), grid, windows); };
  const auto attended =
      attn_->forward(cut(source), query.defined() ? cut(query) : query, masks(windows, tokens), windows.counts());
  const auto mixed = tokens + drop_path_->forward(join_windows(attended, grid, windows));
  return mixed + drop_path_->forward(mlp_->forward(norm2_->forward(mixed)));
}

bool WindowBlock::recomputes() const {
  const bool draws = shape_.dropout > 0 || shape_.attention.attention_dropout > 0 || shape_.drop_path > 0;
  return shape_.checkpointed && !(draws && is_training());
}

WindowBlocks::WindowBlocks(const std::vector<WindowBlockShape>& shapes, const Grid& grid) {
  for (const auto& shape : shapes)
    blocks_.push_back(register_module(std::to_string(blocks_.size()), std::make_shared<WindowBlock>(shape, grid)));
}

torch::Tensor WindowBlocks::forward(torch::Tensor tokens, const Grid& grid, std::size_t first) const {
  for (std::size_t i = first; i < blocks_.size(); ++i) {
    const auto run = [block = blocks_[i], grid](const torch::Tensor& x) { return block->forward(x, grid); };
    tokens = blocks_[i]->recomputes() ? checkpointed(run, tokens) : run(tokens);
  }
  return tokens;
}

std::vector<WindowBlockShape> alternating_blocks(WindowBlockShape shape, const std::vector<double>& drop_paths) {
  std::vector<WindowBlockShape> shapes;
  for (const double rate : drop_paths) {
    shape.windows.shifted = shapes.size() % 2 == 1;
    shape.drop_path = rate;
    shapes.push_back(shape);
  }
  return shapes;
}

std::vector<std::vector<double>> rising_rates(double last, const std::vector<std::int64_t>& depths) {
  const std::int64_t blocks = std::accumulate(depths.begin(), depths.end(), std::int64_t{0});
  std::vector<std::vector<double>> rates(depths.size());
  std::int64_t block = 0;
  for (std::size_t stage = 0; stage < depths.size(); ++stage)
    for (std::int64_t i = 0; i < depths[stage]; ++i, ++block)
      rates[stage].push_back(blocks > 1 ? last * static_cast<double>(block) / static_cast<double>(blocks - 1) : 0);
  return rates;
}

void initialise_window_network(torch::nn::Module& network, const ParameterRandom& random) {
  const torch::NoGradGuard no_grad;
  initialise_as_pytorch(network, random);
  for (auto& parameter : network.named_parameters())
    if (parameter.key().find(kTable) != std::string::npos)
      random.truncated_normal(parameter.value(), parameter.key(), 0.02);
}

}  // namespace m3d
