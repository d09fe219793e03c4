#include "architectures/blocks/slices.h"

namespace m3d {
namespace {

/// [B, C, D, H, W] → [B*D, C, H, W].
torch::Tensor slices_of(const torch::Tensor& volume) { return volume.transpose(1, 2).flatten(0, 1); }

/// [B*D, K, h, w] → [B, K, D, h, w].
torch::Tensor stacked(const torch::Tensor& slices, std::int64_t batch) {
  return slices.unflatten(0, {batch, -1}).transpose(1, 2);
}

}  // namespace

std::vector<torch::Tensor> SliceNetwork::run(const torch::Tensor& image, bool coarser) {
  if (!sliced_ || image.dim() == 4) return forward_slices(image, coarser);
  auto outputs = forward_slices(slices_of(image), coarser);
  for (auto& output : outputs) output = stacked(output, image.size(0));
  return outputs;
}

std::vector<torch::Tensor> SliceNetwork::forward(const torch::Tensor& image) { return run(image, is_training()); }

std::vector<torch::Tensor> SliceNetwork::forward_all(const torch::Tensor& image) { return run(image, true); }

}  // namespace m3d
