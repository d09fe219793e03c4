#pragma once
// Dice, HD95 and NSD of one case, all classes at once. Definitions: nnunet_conventions.md §11; records of kind
// "metrics".
#include <cstdint>
#include <optional>
#include <vector>

#include "datasets/catalogue/dataset.h"

namespace m3d {

/// Metrics of one structure in one case. Both masks empty: all absent. One empty: dice 0, nsd 0, hd95 absent.
struct StructureMetrics {
  std::optional<double> dice;
  std::optional<double> hd95_mm;  // larger of the two directed 95th percentiles (linear interpolation), voxel surfaces
  std::optional<double> nsd;      // normalised surface Dice, voxel form, at the tolerance
  std::int64_t true_positive = 0, false_positive = 0, false_negative = 0, true_negative = 0;
  std::int64_t reference_voxels() const { return true_positive + false_negative; }
  std::int64_t prediction_voxels() const { return true_positive + false_positive; }
  /// Reference not empty, prediction empty.
  bool missed() const { return reference_voxels() > 0 && prediction_voxels() == 0; }
};

/// One entry a class of `classes` (a class is the union of its label values). Both images have the same shape.
std::vector<StructureMetrics> evaluate_case(const LabelImage& prediction, const LabelImage& reference,
                                            const std::vector<LabelClass>& classes, double nsd_tolerance_mm);

/// Distances in mm from every surface voxel of one mask to the nearest surface voxel of the other, in voxel order. The
/// surface of a mask: its voxels with a face neighbour outside of it; beyond the border of the image is outside.
struct SurfaceDistances {
  std::vector<double> prediction_to_reference, reference_to_prediction;  // both empty where a mask is empty
};
/// One entry a class: what HD95 and NSD are made of (and, for comparison with other tools, their pooled and mean
/// forms).
std::vector<SurfaceDistances> surface_distances(const LabelImage& prediction, const LabelImage& reference,
                                                const std::vector<LabelClass>& classes);

/// The p-th percentile (0…100) with linear interpolation between order statistics, rank (n - 1) p / 100. Not empty.
double percentile(std::vector<double> values, double p);

/// Length of the image's diagonal in mm (its whole extent, outer corner to outer corner): the HD95 that a missed
/// structure is given in `mean_hd95_mm_penalised`.
double diagonal_mm(const Geometry& geometry);

}  // namespace m3d
