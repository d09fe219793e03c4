#pragma once
// The label map of a case for the next stage of a cascade. Source: nnU-Net 2.8.1, inference/export_prediction.py
// (resample_and_save): the logits go straight to the next stage's grid, not by way of the file's.
#include "suite/infer/cropped_logits.h"
#include "suite/infer/export.h"

namespace m3d {

/// A grid that covers the same volume as a prepared case, and the labels there.
struct NextStageLabels {
  Shape3 shape{};
  std::vector<std::int16_t> labels = {};
};

class NextStagePainter {
 public:
  /// `prepared` is the case by this stage's plan; all must outlive this object. nnU-Net gives the resampling this
  /// stage's spacing for both grids; so an axis is apart where this stage's spacing says so.
  NextStagePainter(const Dataset& dataset, const PreparedCase& prepared, NextStageLabels& result);
  NextStagePainter(const NextStagePainter&) = delete;
  /// Logits of the prepared grid, as predict_slabs delivers them.
  void add(std::int64_t first, const at::Tensor& logits) { resampled_.add(first, logits); }
  /// After the last slab.
  void finish() { result_.labels = painter_.take().voxels; }

 private:
  NextStageLabels& result_;
  PreparedCase grid_;  // without voxels: where labels are painted
  LabelPainter painter_;
  ResampledLogits resampled_;
};

}  // namespace m3d
