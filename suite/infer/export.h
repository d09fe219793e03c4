#pragma once
// From logits on the cropped grid back to a label map in the case's own geometry. Source: nnunet_conventions.md §10.
#include <ATen/core/Tensor.h>

#include "datasets/dataset.h"
#include "datasets/preprocessing.h"

namespace m3d {

/// `logits` [K, D, H, W] on the grid of `prepared` (any device). Softmax data sets: K = 1 + classes, the first maximum
/// wins and index i is painted with the value of class i - 1 (0: background). Region-based ones: K = classes, regions
/// with a probability above 0.5 are painted with regions_class_order, later over earlier. Outside the crop: background.
/// Throws std::invalid_argument for another shape.
LabelImage labels_from_logits(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared);

}  // namespace m3d
