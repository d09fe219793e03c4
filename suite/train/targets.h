#pragma once
// From batches of label values to the tensors that networks and losses see.
#include <optional>

#include "architectures/registry.h"
#include "datasets/catalogue/dataset.h"
#include "datasets/sampling/patch_sampler.h"

namespace m3d {

/// What the network's channels mean.
struct TargetSpec {
  std::vector<LabelClass> classes;       // without background
  bool region_based = false;             // a sigmoid per class; else softmax over background + classes
  std::optional<int> ignore_label = {};  // label value of voxels that count nowhere
  /// Channels of the network's output.
  std::int64_t channels() const { return static_cast<std::int64_t>(classes.size()) + (region_based ? 0 : 1); }
  /// LossOptions::ignore_label: softmax targets hold the first index that is no class there.
  std::optional<std::int64_t> ignored_index() const { return ignore_label ? std::optional(channels()) : std::nullopt; }
};

/// The first `count` classes of a dataset (0: all), groups and painting order cut to match; the other structures become
/// background.
Dataset with_first_classes(Dataset dataset, std::int64_t count);

TargetSpec target_spec_of(const Dataset& dataset);

/// [B, C, D, H, W] float32. The tensor reads the batch's memory, which must outlive it.
torch::Tensor image_tensor(const Batch& batch);

/// Region-based: [B, K, D, H, W] float32 in {0, 1}, with an ignore label K + 1 channels, of which the last is 1 where
/// voxels are ignored. Softmax: [B, D, H, W] int64, 1 + position of the class in `spec.classes`, ignored_index() where
/// voxels are ignored, 0 for everything else.
torch::Tensor target_tensor(const Batch& batch, const TargetSpec& spec);

}  // namespace m3d
