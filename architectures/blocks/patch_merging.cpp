#include "architectures/blocks/patch_merging.h"

namespace m3d {

MergedOffsets square_offsets() { return {{0, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 1, 1}}; }

PatchMerging::PatchMerging(std::int64_t dim, MergedOffsets offsets) : offsets_(std::move(offsets)) {
  for (const auto& offset : offsets_)
    for (int axis = 0; axis < 3; ++axis) steps_[axis] = std::max(steps_[axis], offset[axis] + 1);
  const std::int64_t gathered = dim * static_cast<std::int64_t>(offsets_.size());
  reduction_ = register_module("reduction", std::make_shared<Linear>(gathered, 2 * dim, false));
  norm_ = register_module("norm", std::make_shared<LayerNorm>(gathered, 1e-5));
}

torch::Tensor PatchMerging::forward(const torch::Tensor& tokens, const Grid& grid) const {
  const auto volume = tokens.unflatten(1, torch::IntArrayRef(grid));
  std::vector<torch::Tensor> parts;
  for (const auto& offset : offsets_) {
    auto part = volume;
    for (int axis = 0; axis < 3; ++axis) part = part.slice(axis + 1, offset[axis], grid[axis], steps_[axis]);
    parts.push_back(part);
  }
  return reduction_->forward(norm_->forward(torch::cat(parts, -1).flatten(1, 3)));
}

}  // namespace m3d
