#pragma once
// The segmentation that a cascade's first stage hands to the next: <case>.b2nd with labels [D, H, W] on the next
// stage's grid, uint8 (uint16 where that does not hold them). Source: nnU-Net 2.8.1, inference/export_prediction.py
// (resample_and_save) and nnUNetDatasetBlosc2.save_seg.
#include <filesystem>
#include <span>

#include "datasets/sampling/patch_source.h"

namespace m3d {

/// Whole or not there. `patch`: of the stage that writes. `largest`: the largest label that the dataset has. Throws
/// RunError when the disk is full.
void write_stage_segmentation(const std::filesystem::path& file, std::span<const std::int16_t> labels,
                              const Shape3& shape, const Shape3& patch, int largest);

/// Such a file, of ours or nnU-Net's. Any number of threads may read at once.
class StageSegmentation {
 public:
  /// Throws RunError naming the file: missing, cut off, other values or more than one channel.
  explicit StageSegmentation(std::filesystem::path file);
  const std::filesystem::path& file() const { return file_; }
  const Shape3& shape() const { return shape_; }
  /// Copies the box of `size` voxels at `begin` to target.previous.
  void read(const Shape3& begin, const Shape3& size, const PatchTarget& target) const;
  std::vector<std::int16_t> whole() const;

 private:
  std::filesystem::path file_;
  Shape3 shape_{};
};

/// The file for the case `id` of this shape. Throws UserError where it cannot be read or is on another grid.
StageSegmentation open_stage_segmentation(const std::filesystem::path& file, const std::string& id,
                                          const Shape3& shape);

/// The case with the first stage's segmentation, on the same grid, beside it.
std::shared_ptr<const PatchSource> with_previous_stage(std::shared_ptr<const PatchSource> images,
                                                       StageSegmentation previous);

}  // namespace m3d
