#include "suite/infer/planned_export.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <optional>
#include <span>
#include <stdexcept>

#include "suite/infer/export.h"

namespace m3d {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // voxels a thread takes at least

/// Value painted for channel k.
std::vector<std::int16_t> painted_values(const Dataset& dataset) {
  if (dataset.region_based) return {dataset.regions_class_order.begin(), dataset.regions_class_order.end()};
  std::vector<std::int16_t> values{0};
  for (const LabelClass& label_class : dataset.classes)
    values.push_back(static_cast<std::int16_t>(label_class.values.front()));
  return values;
}

void check(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared) {
  const std::vector<std::int64_t> expected{output_channels(dataset), prepared.shape[0], prepared.shape[1],
                                           prepared.shape[2]};
  if (logits.sizes() != at::IntArrayRef(expected))
    throw std::invalid_argument(
        c10::str("planned_labels: logits ", logits.sizes(), " of case ", prepared.id, "; expected ", expected));
  if (dataset.region_based && dataset.regions_class_order.size() != dataset.classes.size())
    throw std::invalid_argument("planned_labels: regions_class_order has another length than the regions");
}

/// The channels of the logits on the cropped grid, one after the other.
class CroppedLogits {
 public:
  CroppedLogits(const at::Tensor& logits, const PreparedCase& prepared)
      : logits_(logits), shape_(prepared.planned ? prepared.planned->cropped_shape : prepared.shape) {
    if (!prepared.planned || shape_ == prepared.shape) return;
    const PlannedGrid& grid = *prepared.planned;
    resampling_.emplace(prepared.shape, shape_, grid.spacing_mm, grid.cropped_spacing_mm, grid.logits);
    resampled_.resize(static_cast<std::size_t>(voxel_count(shape_)));
  }

  const Shape3& shape() const { return shape_; }

  /// Valid until the next call.
  const float* channel(std::int64_t index) {
    current_ = logits_[index].to(at::kCPU, at::kFloat).contiguous();
    const std::span<const float> voxels(current_.const_data_ptr<float>(), static_cast<std::size_t>(current_.numel()));
    if (!resampling_) return voxels.data();
    resampling_->image(voxels, resampled_);
    return resampled_.data();
  }

 private:
  const at::Tensor& logits_;
  Shape3 shape_;
  std::optional<Resampling> resampling_;
  at::Tensor current_;
  std::vector<float> resampled_;
};

/// The channel with the largest logit, the first where several are equal.
std::vector<std::int16_t> decide_largest(CroppedLogits& logits, const std::vector<std::int16_t>& values) {
  const std::int64_t voxels = voxel_count(logits.shape());
  const float* first = logits.channel(0);
  std::vector<float> best(first, first + voxels);
  std::vector<std::int16_t> labels(best.size(), values[0]);
  for (std::size_t k = 1; k < values.size(); ++k) {
    const float* channel = logits.channel(static_cast<std::int64_t>(k));
    at::parallel_for(0, voxels, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
        labels[i] = channel[i] > best[i] ? values[k] : labels[i];
        best[i] = std::max(best[i], channel[i]);
      }
    });
  }
  return labels;
}

/// Regions in painting order; a probability above 0.5 is a logit above 0.
std::vector<std::int16_t> paint_regions(CroppedLogits& logits, const std::vector<std::int16_t>& values) {
  std::vector<std::int16_t> labels(static_cast<std::size_t>(voxel_count(logits.shape())), 0);
  for (std::size_t k = 0; k < values.size(); ++k) {
    const float* channel = logits.channel(static_cast<std::int64_t>(k));
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = channel[i] > 0 ? values[k] : labels[i];
  }
  return labels;
}

AxisMap axes_of(const PreparedCase& prepared) { return prepared.planned ? prepared.planned->axes : AxisMap{}; }

/// The voxels of the crop within the file's grid, `outside` around them.
template <class T>
std::vector<T> uncropped(const T* voxels, const Shape3& shape, const PreparedCase& prepared, T outside) {
  const AxisMap axes = axes_of(prepared);
  const Shape3 whole = permuted(prepared.original.shape, axes.order);
  std::vector<T> result(static_cast<std::size_t>(voxel_count(whole)), outside);
  const Shape3& begin = prepared.crop_begin;
  for (std::int64_t z = 0; z < shape[0]; ++z)
    for (std::int64_t y = 0; y < shape[1]; ++y, voxels += shape[2])
      std::copy_n(voxels, shape[2], result.begin() + ((z + begin[0]) * whole[1] + y + begin[1]) * whole[2] + begin[2]);
  return axes.is_identity() ? result : mapped(std::span<const T>(result), whole, axes.inverse());
}

}  // namespace

LabelImage planned_labels(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared) {
  check(logits, dataset, prepared);
  CroppedLogits on_crop(logits, prepared);
  const std::vector<std::int16_t> values = painted_values(dataset);
  const std::vector<std::int16_t> labels =
      dataset.region_based ? paint_regions(on_crop, values) : decide_largest(on_crop, values);
  return {prepared.original, uncropped<std::int16_t>(labels.data(), on_crop.shape(), prepared, 0)};
}

at::Tensor probabilities_from_logits(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared) {
  check(logits, dataset, prepared);
  CroppedLogits on_crop(logits, prepared);
  const auto [depth, height, width] = on_crop.shape();
  at::Tensor probabilities = at::empty({output_channels(dataset), depth, height, width}, at::kFloat);
  const std::int64_t voxels = voxel_count(on_crop.shape());
  for (std::int64_t k = 0; k < output_channels(dataset); ++k)
    std::copy_n(on_crop.channel(k), voxels, probabilities[k].mutable_data_ptr<float>());
  probabilities = dataset.region_based ? at::sigmoid(probabilities) : at::softmax(probabilities, 0);
  const Shape3& whole = prepared.original.shape;
  at::Tensor result = at::empty({output_channels(dataset), whole[0], whole[1], whole[2]}, at::kFloat);
  for (std::int64_t k = 0; k < output_channels(dataset); ++k) {
    const float outside = k == 0 && !dataset.region_based ? 1.0F : 0.0F;
    const auto channel = uncropped(probabilities[k].const_data_ptr<float>(), on_crop.shape(), prepared, outside);
    std::copy(channel.begin(), channel.end(), result[k].mutable_data_ptr<float>());
  }
  return result;
}

}  // namespace m3d
