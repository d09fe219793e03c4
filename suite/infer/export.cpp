#include "suite/infer/export.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <stdexcept>

namespace m3d {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // voxels a thread takes at least

/// Label values of `count` voxels from logits [K, stride].
using Decide = std::function<void(const float* logits, std::int64_t stride, std::int64_t count, std::int16_t* labels)>;

/// The channel with the largest logit, the first where several are equal.
Decide argmax_rule(const Dataset& dataset) {
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
Decide region_rule(const Dataset& dataset) {
  const std::vector<std::int16_t> values(dataset.regions_class_order.begin(), dataset.regions_class_order.end());
  return [values](const float* logits, std::int64_t stride, std::int64_t count, std::int16_t* labels) {
    std::fill(labels, labels + count, std::int16_t{0});
    for (std::size_t k = 0; k < values.size(); ++k) {
      const float* channel = logits + static_cast<std::int64_t>(k) * stride;
      for (std::int64_t i = 0; i < count; ++i) labels[i] = channel[i] > 0 ? values[k] : labels[i];
    }
  };
}

std::int64_t channels_of(const Dataset& dataset) {
  return static_cast<std::int64_t>(dataset.classes.size()) + (dataset.region_based ? 0 : 1);
}

void check(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared) {
  const std::vector<std::int64_t> expected{channels_of(dataset), prepared.shape[0], prepared.shape[1],
                                           prepared.shape[2]};
  if (logits.sizes() != at::IntArrayRef(expected))
    throw std::invalid_argument(
        c10::str("labels_from_logits: logits ", logits.sizes(), " of case ", prepared.id, "; expected ", expected));
  if (dataset.region_based && dataset.regions_class_order.size() != dataset.classes.size())
    throw std::invalid_argument("labels_from_logits: regions_class_order has another length than the regions");
}

void paste(const std::vector<std::int16_t>& labels, const PreparedCase& prepared, LabelImage& image) {
  const Shape3& shape = prepared.shape;
  auto row = labels.begin();
  for (std::int64_t z = 0; z < shape[0]; ++z)
    for (std::int64_t y = 0; y < shape[1]; ++y, row += shape[2])
      std::copy(row, row + shape[2],
                &image.at(z + prepared.crop_begin[0], y + prepared.crop_begin[1], prepared.crop_begin[2]));
}

}  // namespace

LabelImage labels_from_logits(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared) {
  check(logits, dataset, prepared);
  const at::Tensor values = logits.to(at::kCPU, at::kFloat).contiguous();
  const float* data = values.const_data_ptr<float>();
  const std::int64_t voxels = voxel_count(prepared.shape);
  const Decide decide = dataset.region_based ? region_rule(dataset) : argmax_rule(dataset);
  std::vector<std::int16_t> labels(static_cast<std::size_t>(voxels));
  at::parallel_for(0, voxels, kGrain, [&](std::int64_t begin, std::int64_t end) {
    decide(data + begin, voxels, end - begin, labels.data() + begin);
  });
  LabelImage image{prepared.original, {}};
  image.voxels.assign(static_cast<std::size_t>(voxel_count(prepared.original.shape)), 0);
  paste(labels, prepared, image);
  return image;
}

}  // namespace m3d
