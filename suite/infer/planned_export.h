#pragma once
// From whole logits on the grid of a plan back to the case's file. Source: nnunet_conventions.md §10.
#include <ATen/core/Tensor.h>

#include "datasets/dataset.h"
#include "datasets/preprocessing.h"

namespace m3d {

/// `logits` [K, D, H, W] on the grid of `prepared` (any device) are resampled by the plan's rule to the cropped grid,
/// one channel at a time, decided on as LabelPainter does, and put back into the grid and the order of axes of the
/// file. Cases at native spacing are taken too. Throws std::invalid_argument for another shape.
LabelImage planned_labels(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared);

/// The probabilities [K, D, H, W] (float32, CPU) along the axes of the case's file: softmax, or the sigmoid of each
/// region. Outside the crop: 1 for the background, 0 for everything else.
at::Tensor probabilities_from_logits(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared);

}  // namespace m3d
