#pragma once
// Resizing a label map through the linearly interpolated indicators of its labels (nnunet_conventions.md §5). Internal
// to this room.
#include <cstdint>

#include "datasets/preprocessing/resampling.h"

namespace m3d {

/// All axes linearly.
void resize_label_volume(const std::int16_t* voxels, const Shape3& shape, const Shape3& new_shape, LabelRule rule,
                         std::int16_t* result);

/// Each [H, W] slice linearly, then the nearest slice along D.
void resize_label_slices(const std::int16_t* voxels, const Shape3& shape, const Shape3& new_shape, LabelRule rule,
                         std::int16_t* result);

/// The nearest voxel.
void resize_labels_nearest(const std::int16_t* voxels, const Shape3& shape, const Shape3& new_shape,
                           std::int16_t* result);

}  // namespace m3d
