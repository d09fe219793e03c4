#pragma once
// nnU-Net's online estimate of the Dice: true and false voxels of all validation patches together, per class (§9).
#include <optional>
#include <vector>

#include "suite/train/targets.h"

namespace m3d {

class PseudoDice {
 public:
  explicit PseudoDice(const TargetSpec& spec);
  /// `logits` [B, K, D, H, W]; `target` as target_tensor makes it.
  void add(const torch::Tensor& logits, const torch::Tensor& target);
  /// Mean over the classes that occur in prediction or target (without background); absent where none does.
  std::optional<double> mean() const;

 private:
  void count(std::size_t position, const torch::Tensor& predicted, const torch::Tensor& expected);

  bool region_based_;
  std::vector<std::int64_t> intersection_, both_sizes_;  // by class: true positives; predicted + expected voxels
};

}  // namespace m3d
