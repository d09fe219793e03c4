#include "suite/infer/export.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <stdexcept>

#include "suite/infer/cropped_logits.h"

namespace m3d {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // voxels a thread takes at least

}  // namespace

/// The channel with the largest logit, the first where several are equal.
LabelPainter::Decide LabelPainter::argmax_rule(const Dataset& dataset) {
  std::vector<std::int16_t> values{0};
  for (const LabelClass& label_class : dataset.classes)
    values.push_back(static_cast<std::int16_t>(label_class.values.front()));
  return [values](const float* logits, std::int64_t stride, std::int64_t count, std::int16_t* labels) {
    std::vector<float> best(logits, logits + count);
    std::fill(labels, labels + count, values[0]);
    for (std::size_t k = 1; k < values.size(); ++k) {
      const float* channel = logits + static_cast<std::int64_t>(k) * stride;
      for (std::int64_t i = 0; i < count; ++i) {
        labels[i] = channel[i] > best[static_cast<std::size_t>(i)] ? values[k] : labels[i];
        best[static_cast<std::size_t>(i)] = std::max(best[static_cast<std::size_t>(i)], channel[i]);
      }
    }
  };
}

/// Regions in painting order; a probability above 0.5 is a logit above 0.
LabelPainter::Decide LabelPainter::region_rule(const Dataset& dataset) {
  const std::vector<std::int16_t> values(dataset.regions_class_order.begin(), dataset.regions_class_order.end());
  return [values](const float* logits, std::int64_t stride, std::int64_t count, std::int16_t* labels) {
    std::fill(labels, labels + count, std::int16_t{0});
    for (std::size_t k = 0; k < values.size(); ++k) {
      const float* channel = logits + static_cast<std::int64_t>(k) * stride;
      for (std::int64_t i = 0; i < count; ++i) labels[i] = channel[i] > 0 ? values[k] : labels[i];
    }
  };
}

std::int64_t output_channels(const Dataset& dataset) {
  return static_cast<std::int64_t>(dataset.classes.size()) + (dataset.region_based ? 0 : 1);
}

LabelPainter::LabelPainter(const Dataset& dataset, const PreparedCase& prepared)
    : dataset_(dataset),
      prepared_(prepared),
      shape_(cropped_shape(prepared)),
      grid_(prepared),
      decide_(dataset.region_based ? region_rule(dataset) : argmax_rule(dataset)),
      image_{prepared.original, {}} {
  if (dataset.region_based && dataset.regions_class_order.size() != dataset.classes.size())
    throw std::invalid_argument("LabelPainter: regions_class_order has another length than the regions");
  image_.voxels.assign(static_cast<std::size_t>(voxel_count(prepared.original.shape)), 0);
}

void LabelPainter::add(std::int64_t first, const at::Tensor& logits) {
  const Shape3& shape = shape_;
  if (logits.dim() != 4 || logits.size(0) != output_channels(dataset_) || first < 0 ||
      first + logits.size(1) > shape[0] || logits.size(2) != shape[1] || logits.size(3) != shape[2])
    throw std::invalid_argument(c10::str("LabelPainter: logits ", logits.sizes(), " from plane ", first, " of case ",
                                         prepared_.id, "; expected ", output_channels(dataset_),
                                         " channels of planes of ", at::IntArrayRef(shape.data(), 3)));
  const at::Tensor values = logits.to(at::kCPU, at::kFloat).contiguous();
  const float* data = values.const_data_ptr<float>();
  const std::int64_t plane = shape[1] * shape[2], voxels = values.size(1) * plane;
  std::vector<std::int16_t> labels(static_cast<std::size_t>(voxels));
  at::parallel_for(0, voxels, kGrain, [&](std::int64_t begin, std::int64_t end) {
    decide_(data + begin, voxels, end - begin, labels.data() + begin);
  });
  for (std::int64_t z = 0; z < values.size(1); ++z) paste(first + z, labels.data() + z * plane);
}

void LabelPainter::paste(std::int64_t plane, const std::int16_t* labels) {
  for (std::int64_t y = 0; y < shape_[1]; ++y) {
    std::int16_t* const row = image_.voxels.data() + grid_.row(plane, y);
    for (std::int64_t x = 0; x < shape_[2]; ++x) row[x * grid_.strides[2]] = *labels++;
  }
}

LabelImage labels_from_logits(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared) {
  if (logits.dim() != 4 || logits.size(1) != prepared.shape[0])
    throw std::invalid_argument(c10::str("labels_from_logits: logits ", logits.sizes(), " of case ", prepared.id,
                                         " with ", prepared.shape[0], " planes"));
  LabelPainter painter(dataset, prepared);
  CroppedLogits cropped(prepared, output_channels(dataset),
                        [&](std::int64_t first, const at::Tensor& slab) { painter.add(first, slab); });
  cropped.add(0, logits);
  return painter.take();
}

}  // namespace m3d
