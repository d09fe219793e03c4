#pragma once
// The <case>.pkl beside a preprocessed case (nnunet_conventions.md §1): how the case leads back to its file, and where
// its classes lie.
#include <filesystem>
#include <optional>
#include <vector>

#include "datasets/preprocessing/axes.h"
#include "datasets/sampling/patch_source.h"

namespace m3d {

/// Rows of nibabel's affines (4×4) of a case that was read with reorientation.
struct NibabelAffines {
  std::array<double, 16> original{}, reoriented{};
};

/// Of a file that nibabel reorients by `reader` (axes.h).
NibabelAffines nibabel_affines(const Geometry& file, const AxisMap& reader);

struct CaseProperties {
  /// Of the file: spacing along its array's axes [D, H, W], and ITK's origin and direction. The shape is not kept.
  Geometry original;
  std::optional<NibabelAffines> affines;
  /// Sizes and box [begin, end) of the crop, along the plan's (transposed) axes, in voxels of the file.
  Shape3 shape_before_cropping{}, crop_begin{}, crop_end{};
  /// Label values of each class (several for a region), and the voxels of each: row-major in the preprocessed shape.
  std::vector<std::vector<int>> classes;
  ClassLocations class_locations;
  /// The values that are not to be ignored, -1 first, and their voxels; empty unless the dataset has an ignore label.
  std::vector<int> annotated;
  std::vector<std::int64_t> annotated_locations;
};

/// Reads nnU-Net v2's file, or ours. `shape` is the preprocessed case's. Throws RunError naming the file.
CaseProperties read_case_properties(const std::filesystem::path& file, const Shape3& shape);

/// As nnU-Net v2 reads it. Atomic.
void write_case_properties(const std::filesystem::path& file, const CaseProperties& properties, const Shape3& shape);

}  // namespace m3d
