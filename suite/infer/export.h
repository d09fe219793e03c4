#pragma once
// From logits back to a label map in the case's own geometry. Source: nnunet_conventions.md §10.
#include <ATen/core/Tensor.h>

#include <functional>

#include "datasets/catalogue/dataset.h"
#include "datasets/preprocessing/preprocessing.h"
#include "suite/infer/file_grid.h"

namespace m3d {

/// Paints the label map of a case whose logits come slab by slab.
class LabelPainter {
 public:
  /// Both must outlive this object. Throws std::invalid_argument for regions without a painting order.
  LabelPainter(const Dataset& dataset, const PreparedCase& prepared);

  /// `logits` [K, d, H, W] of planes `first` to first + d - 1 of the cropped grid (CroppedLogits; any device). Softmax
  /// data sets: K = 1 + classes, the first maximum wins and index i is painted with the value of class i - 1 (0:
  /// background). Region-based ones: K = classes, regions with a probability above 0.5 are painted with
  /// regions_class_order, later over earlier. Throws std::invalid_argument for another shape.
  void add(std::int64_t first, const at::Tensor& logits);

  /// In the case's own geometry; outside the crop: background.
  LabelImage take() { return std::move(image_); }

 private:
  /// Label values of `count` voxels from logits [K, stride].
  using Decide =
      std::function<void(const float* logits, std::int64_t stride, std::int64_t count, std::int16_t* labels)>;
  static Decide argmax_rule(const Dataset& dataset);
  static Decide region_rule(const Dataset& dataset);
  void paste(std::int64_t plane, const std::int16_t* labels);

  const Dataset& dataset_;
  const PreparedCase& prepared_;
  Shape3 shape_;  // of the crop
  FileGrid grid_;
  Decide decide_;
  LabelImage image_;
};

/// Channels of a network's output for a data set.
std::int64_t output_channels(const Dataset& dataset);

/// The same from whole logits [K, D, H, W] on the grid of `prepared`.
LabelImage labels_from_logits(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared);

}  // namespace m3d
