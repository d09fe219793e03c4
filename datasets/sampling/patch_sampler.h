#pragma once
// Patches for training and validation. Source: nnunet_conventions.md §6, §7.
#include <memory>
#include <vector>

#include "datasets/sampling/augmentation.h"
#include "datasets/sampling/patch_source.h"

namespace m3d {

/// A training batch: `image` [B, C, D, H, W] float32 (of a cascade's second stage: the case's channels and then one
/// mask a label), `labels` [B, D, H, W] (label values; outside the case 0).
struct Batch {
  Shape3 patch{};
  std::int64_t size = 0, channels = 0;
  std::vector<float> image;
  std::vector<std::int16_t> labels;
};

/// Draws patches from prepared cases. Sample j of step t follows from (seed, t, j) alone: no state to save, and any
/// number of threads draws the same batches. Sample j is forced to contain foreground when
/// j >= round(batch_size * (1 - foreground_fraction)) (Python's round, §6). Outside the case: image 0.
class PatchSampler {
 public:
  struct Options {
    Shape3 patch{};
    std::int64_t batch_size = 2;
    double foreground_fraction = 0.33;
    bool mirror = true;  // each axis with probability 0.5 (§7.9)
    Augmentation augmentation = Augmentation::none;
    /// Channels whose voxels outside the case's non-zero mask are set to 0 after augmentation (§7.10); empty: none.
    std::vector<bool> masked_channels = {};
    /// Of a cascade's second stage: the foreground labels, of which the first stage's segmentation gives one mask each.
    /// Masks are turned and mirrored as the labels are, and spoilt (cascade_augmentation.h) where patches are
    /// augmented.
    std::vector<int> previous_labels = {};
  };
  PatchSampler(std::vector<std::shared_ptr<const PatchSource>> cases, Options options, std::uint64_t seed);
  PatchSampler(const std::vector<std::shared_ptr<const PreparedCase>>& cases, Options options, std::uint64_t seed);
  Batch draw(std::int64_t step) const;

 private:
  void draw_sample(std::int64_t step, std::int64_t sample, Batch& batch) const;

  std::vector<std::shared_ptr<const PatchSource>> cases_;
  Options options_;
  Shape3 loader_patch_;  // what is cut from a case, in nnU-Net's terms: larger than the patch where patches are turned
  std::uint64_t seed_;
};

}  // namespace m3d
