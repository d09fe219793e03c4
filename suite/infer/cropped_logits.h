#pragma once
// From logits on the grid of a prepared case to another one: the cropped grid of its file, the way back through the
// plan's resampling, or that of a cascade's next stage. Source: nnunet_conventions.md §5, §10.
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "datasets/preprocessing/plane_resampling.h"
#include "datasets/preprocessing/preprocessing.h"
#include "suite/infer/sliding_window.h"

namespace m3d {

/// Shape of the crop before resampling, along the prepared axes.
Shape3 cropped_shape(const PreparedCase& prepared);

/// Two grids of one volume. The spacings decide whether an axis is resampled apart, the shapes everything else.
struct LogitGrids {
  std::string case_id;
  Shape3 shape{}, new_shape{};
  Spacing3 spacing_mm{}, new_spacing_mm{};
  ResamplingRule rule = {};
};

/// Takes slabs as predict_slabs delivers them and hands over those of the new grid: where the shapes are equal the
/// same, else one plane at a time, as soon as its neighbours have come. Memory: two planes of float64 and one of
/// float32 a channel; for a plan that resamples logits by other rules than nnU-Net's it is whole volumes.
class ResampledLogits {
 public:
  ResampledLogits(LogitGrids grids, std::int64_t channels, SlabConsumer consume);

  /// `logits` [K, d, H, W] of planes `first` to first + d - 1 of the old grid (any device), in the planes' order.
  /// Throws std::invalid_argument for another shape.
  void add(std::int64_t first, const at::Tensor& logits);

 private:
  void take_planes(const at::Tensor& logits);
  void take_whole(std::int64_t first, const at::Tensor& logits);

  LogitGrids grids_;
  std::int64_t channel_count_;
  SlabConsumer consume_;
  std::optional<PlaneResampling> resampling_;
  std::vector<PlaneResampling::Channel> channels_;
  std::int64_t taken_ = 0, written_ = 0;
  at::Tensor whole_;  // for rules that PlaneResampling does not handle
};

/// To the cropped grid of the case's file.
class CroppedLogits : public ResampledLogits {
 public:
  CroppedLogits(const PreparedCase& prepared, std::int64_t channels, SlabConsumer consume);
};

}  // namespace m3d
