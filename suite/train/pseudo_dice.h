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
  /// By class (without background), over the voxels that are not ignored; absent where neither prediction nor target
  /// has the class.
  std::vector<std::optional<double>> by_class() const;
  /// Mean over the classes that have a Dice; absent where none has.
  std::optional<double> mean() const;

 private:
  void count(std::size_t position, const torch::Tensor& predicted, const torch::Tensor& expected);

  bool region_based_;
  std::optional<std::int64_t> ignored_index_;
  std::vector<std::int64_t> intersection_, both_sizes_;  // by class: true positives; predicted + expected voxels
};

}  // namespace m3d
