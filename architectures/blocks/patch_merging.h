#pragma once
// Swin Transformer's down-sampling (arXiv:2103.14030): neighbouring tokens side by side, normed, projected.
#include "architectures/blocks/layers.h"

namespace m3d {

/// Offsets from an even token of those whose channels lie beside each other, in their order.
using MergedOffsets = std::vector<Grid>;

/// The four tokens of a square of H and W, the left column first, as Swin Transformer has them.
MergedOffsets square_offsets();

/// Children reduction (without bias) and norm.
class PatchMerging : public torch::nn::Module {
 public:
  PatchMerging(std::int64_t dim, MergedOffsets offsets);
  /// [B, L, C] on `grid` → [B, L / 4 or 8, 2 C] on half the grid. Axes along which no offset reaches stay.
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid) const;
  /// Of the result.
  Grid merged(const Grid& grid) const { return {grid[0] / steps_[0], grid[1] / steps_[1], grid[2] / steps_[2]}; }

 private:
  MergedOffsets offsets_;
  Grid steps_{1, 1, 1};
  std::shared_ptr<Linear> reduction_;
  std::shared_ptr<LayerNorm> norm_;
};

}  // namespace m3d
