// Foreground statistics (nnunet_conventions.md §2). nnU-Net draws 1e8 / cases voxels with replacement from each case;
// here every foreground voxel of a case counts once, with the weight 1 / voxels of that case. That is what the draws
// estimate (both weigh all cases equally): means agree to about 1e-4 standard deviations, and no generator is needed.
// A case with more than 1e8 / cases foreground voxels gives every k-th of them.
#include <algorithm>
#include <cmath>
#include <map>

#include "common/error.h"
#include "datasets/preprocessing/crop.h"
#include "datasets/preprocessing/preprocessing.h"

namespace m3d {
namespace {

constexpr std::size_t kSampledVoxels = 100'000'000;

struct WeightedValue {
  float value, weight;
};

/// The smallest value with at least `fraction` of the weight at or below it. numpy interpolates between neighbours,
/// which among thousands of samples are the same number or nearly so.
double quantile(const std::vector<WeightedValue>& sorted, double total, double fraction) {
  double below = 0;
  for (const auto& [value, weight] : sorted)
    if ((below += weight) >= fraction * total) return value;
  return sorted.back().value;
}

ChannelStatistics statistics_of(std::vector<WeightedValue>& values) {
  std::sort(values.begin(), values.end(), [](const auto& a, const auto& b) { return a.value < b.value; });
  double total = 0, sum = 0, squares = 0;
  for (const auto& [value, weight] : values) total += weight, sum += static_cast<double>(weight) * value;
  const double mean = sum / total;
  for (const auto& [value, weight] : values) squares += weight * (value - mean) * (value - mean);
  return {.mean = mean,
          .standard_deviation = std::sqrt(squares / total),
          .minimum = values.front().value,
          .maximum = values.back().value,
          .median = quantile(values, total, 0.5),
          .percentile_00_5 = quantile(values, total, 0.005),
          .percentile_99_5 = quantile(values, total, 0.995)};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 != 0 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

/// Labels above 0 are never cut off by the crop's mask, but they are by its box.
std::vector<std::size_t> foreground_indices(const LoadedCase& loaded, const Box& box, std::size_t limit) {
  const Shape3& shape = loaded.labels.shape();
  std::vector<std::size_t> indices;
  for (std::int64_t z = box.begin[0]; z < box.end[0]; ++z)
    for (std::int64_t y = box.begin[1]; y < box.end[1]; ++y)
      for (std::int64_t x = box.begin[2]; x < box.end[2]; ++x)
        if (const auto index = static_cast<std::size_t>((z * shape[1] + y) * shape[2] + x);
            loaded.labels.voxels[index] > 0)
          indices.push_back(index);
  const std::size_t stride = (indices.size() + limit - 1) / limit;
  if (stride > 1) {
    std::vector<std::size_t> sparse;
    for (std::size_t i = 0; i < indices.size(); i += stride) sparse.push_back(indices[i]);
    return sparse;
  }
  return indices;
}

}  // namespace

Fingerprint fingerprint_of(const Dataset& dataset, const std::vector<std::string>& case_ids) {
  if (case_ids.empty()) throw UserError("dataset '" + dataset.name + "': no cases to take statistics from");
  std::map<std::string, const CaseFiles*> files;
  for (const auto& one : dataset.training) files[one.id] = &one;
  Fingerprint fingerprint;
  std::vector<std::vector<WeightedValue>> values(dataset.channel_names.size());
  std::vector<double> relative_sizes;
  for (const auto& id : case_ids) {
    const LoadedCase loaded = load_case(dataset, *files.at(id));
    const Shape3& shape = loaded.labels.shape();
    const Box box = bounding_box(nonzero_mask(loaded.channels), shape);
    fingerprint.cropped_shapes.push_back(box.shape());
    relative_sizes.push_back(static_cast<double>(voxel_count(box.shape())) / static_cast<double>(voxel_count(shape)));
    const auto foreground = foreground_indices(loaded, box, kSampledVoxels / case_ids.size());
    for (std::size_t c = 0; c < values.size(); ++c)
      for (const std::size_t index : foreground)
        values[c].push_back({loaded.channels[c].voxels[index], 1.0F / static_cast<float>(foreground.size())});
  }
  if (values.front().empty())
    throw UserError("dataset '" + dataset.name + "': no training case has a labelled voxel; check labelsTr");
  for (auto& channel : values) fingerprint.channels.push_back(statistics_of(channel));
  fingerprint.median_relative_size = median(std::move(relative_sizes));
  return fingerprint;
}

}  // namespace m3d
