#pragma once
// Attention within windows with a learned bias by relative position, and the block around it (Swin Transformer,
// arXiv:2103.14030), as Swin-Unet, nnFormer and MONAI's Swin UNETR have them: what differs is data. Tokens are
// [B, D*H*W, C] on a grid; slices are grids of depth 1.
#include "architectures/blocks/stochastic.h"
#include "architectures/blocks/windows.h"

namespace m3d {

/// Which row of the table, (2d-1)(2h-1)(2w-1) rows for a window [d, h, w], belongs to an offset.
enum class PositionRows {
  distinct,  // each offset has its own
  nnformer   // as nnFormer multiplies: (3h-1, 2h-1, 1) instead of ((2h-1)(2w-1), 2w-1, 1), so that offsets share rows
};

struct WindowAttentionShape {
  std::int64_t dim = 0, heads = 1;
  Grid window{};  // of the table
  PositionRows rows = PositionRows::distinct;
  bool qkv_bias = true;
  std::optional<double> scale = {};  // of query-key products; default 1/sqrt(dim/heads)
  bool projects_query = true;        // false: only `kv` is projected, queries come from elsewhere as they are
  double attention_dropout = 0, dropout = 0;
};

/// Parameter relative_position_bias_table, children qkv (or kv) and proj.
class WindowAttention : public torch::nn::Module {
 public:
  /// Throws UserError unless heads divide dim and the rows lie within the table.
  explicit WindowAttention(const WindowAttentionShape& shape);
  /// [B * windows, N, C] → the same shape. `query` is undefined where queries are projected. Of windows that are
  /// shorter than the table's, N tokens have the positions of the table window's first N (as in MONAI).
  torch::Tensor forward(const torch::Tensor& source, const torch::Tensor& query, const std::vector<WindowMask>& masks,
                        const Grid& counts) const;
  /// [heads, N, N].
  torch::Tensor position_bias(std::int64_t tokens) const;

 private:
  std::vector<torch::Tensor> projected(const torch::Tensor& source, const torch::Tensor& query) const;
  WindowAttentionShape shape_;
  torch::Tensor table_;
  std::shared_ptr<Linear> qkv_, proj_;
  std::shared_ptr<Dropout> attn_drop_, proj_drop_;
};

/// Linear, GELU (erf), Linear.
class WindowMlp : public torch::nn::Module {
 public:
  WindowMlp(std::int64_t dim, std::int64_t hidden, const std::array<std::string, 2>& names, double dropout);
  torch::Tensor forward(const torch::Tensor& tokens) const;

 private:
  std::shared_ptr<Linear> in_, out_;
  std::shared_ptr<Dropout> drop_;
};

struct WindowBlockShape {
  WindowAttentionShape attention;  // its window is that of `windows` on the block's grid, or, clamped, as given
  WindowRule windows;
  bool masked = true;          // whether shifted windows are masked
  bool mask_in_state = false;  // as the buffer attn_mask
  bool checkpointed = false;   // recompute the block in the backward pass, unless it draws random numbers
  double mlp_ratio = 4, dropout = 0, drop_path = 0;
  std::array<std::string, 2> mlp_names{"fc1", "fc2"};
};

/// x + attn(norm1(x)) within windows, then x + mlp(norm2(x)).
class WindowBlock : public torch::nn::Module {
 public:
  /// `grid` is the one that the block will see; windows that are clamped are so by the grid of each call.
  WindowBlock(WindowBlockShape shape, const Grid& grid);
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid) const {
    return forward(tokens, grid, tokens, {});
  }
  /// Attention from `query` to `source`, both normed by norm1, beside the residual `tokens` (nnFormer's decoder).
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid, const torch::Tensor& source,
                        const torch::Tensor& query) const;
  /// Whether its activations are to be recomputed.
  bool recomputes() const;

 private:
  std::vector<WindowMask> masks(const Windows& windows, const torch::Tensor& like) const;
  WindowBlockShape shape_;
  torch::Tensor mask_;
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<WindowAttention> attn_;
  std::shared_ptr<WindowMlp> mlp_;
  std::shared_ptr<DropPath> drop_path_;
};

/// Blocks named 0, 1, ….
class WindowBlocks : public torch::nn::Module {
 public:
  WindowBlocks(const std::vector<WindowBlockShape>& shapes, const Grid& grid);
  /// Those from number `first` on, one after the other.
  torch::Tensor forward(torch::Tensor tokens, const Grid& grid, std::size_t first = 0) const;
  const WindowBlock& at(std::size_t index) const { return *blocks_.at(index); }

 private:
  std::vector<std::shared_ptr<WindowBlock>> blocks_;
};

/// A block for each rate of stochastic depth, every second one shifted.
std::vector<WindowBlockShape> alternating_blocks(WindowBlockShape shape, const std::vector<double>& drop_paths);

/// Rates of stochastic depth that rise evenly from zero to `last`, for stages of so many blocks.
std::vector<std::vector<double>> rising_rates(double last, const std::vector<std::int64_t>& depths);

/// As PyTorch does, but for the position tables: normal of std 0.02, cut, as all originals start them.
void initialise_window_network(torch::nn::Module& network, const ParameterRandom& random);

}  // namespace m3d
