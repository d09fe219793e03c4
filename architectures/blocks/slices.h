#pragma once
// 2D networks in a 3D harness: every axial slice of a volume is a sample of the batch.
#include "architectures/registry.h"

namespace m3d {

class SliceNetwork : public Network {
 public:
  /// With `dimensions` 3 nothing is sliced and forward_slices takes and gives volumes: for families that are 2D or 3D
  /// by an option.
  explicit SliceNetwork(int dimensions = 2) : sliced_(dimensions == 2) {}

  /// `slices` [B, C, H, W] → logits [B, K, h, w], full resolution first; with `coarser`, the deep-supervision outputs
  /// after it.
  virtual std::vector<torch::Tensor> forward_slices(const torch::Tensor& slices, bool coarser) = 0;

  std::vector<torch::Tensor> forward(const torch::Tensor& image) final;
  /// Takes slices [B, C, H, W] too, as reference records of 2D networks give them, and then returns slices.
  std::vector<torch::Tensor> forward_all(const torch::Tensor& image) final;

 private:
  std::vector<torch::Tensor> run(const torch::Tensor& image, bool coarser);
  bool sliced_;
};

}  // namespace m3d
