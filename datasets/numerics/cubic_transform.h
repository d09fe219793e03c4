#pragma once
// Rotation and scaling of a patch as nnU-Net 2.0 to 2.4 had it (nnunet_conventions.md §7, last sentence): images by the
// cubic B-spline, labels by a threshold. Source: batchgenerators 0.25, augmentations/spatial_transformations.py
// (augment_spatial without elastic deformation), and SciPy's map_coordinates with mode "constant".
#include <span>

#include "datasets/sampling/spatial_transform.h"

namespace m3d {

/// The part of the loader's patch that cubic sampling reads: the voxels around the samples and so many more that the
/// spline's coefficients there do not depend on what lies further away (by more than 1e-9 of the values).
SourceBox cubic_source_box(const SpatialGrid& grid);

/// Samples of all channels and of the labels. Images: cubic spline, 0 where a sample lies outside the loader's patch.
/// Labels: the largest whose 0/1 indicator has a linear sample of at least 0.5, else 0 (so outside the loader's patch).
/// `image` [C, box.size()] and `labels` [box.size()] hold the box of the loader's patch (cubic_source_box or larger);
/// the targets are [C, grid.patch] and [grid.patch].
void sample_patch_cubic(const SpatialGrid& grid, const SourceBox& box, std::span<const float> image,
                        std::span<const std::int16_t> labels, std::span<float> image_target,
                        std::span<std::int16_t> labels_target);

}  // namespace m3d
