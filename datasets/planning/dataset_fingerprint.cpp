#include "datasets/planning/dataset_fingerprint.h"

#include <algorithm>
#include <mutex>
#include <span>

#include "common/error.h"
#include "datasets/catalogue/dataset_json.h"
#include "datasets/numerics/numpy_random.h"
#include "datasets/numerics/numpy_statistics.h"
#include "datasets/parallel.h"
#include "datasets/planning/plans.h"
#include "datasets/preprocessing/case_memory.h"
#include "datasets/preprocessing/crop.h"
#include "datasets/preprocessing/planned_preprocessing.h"

namespace m3d {
namespace {

constexpr std::uint32_t kSeed = 1234;
constexpr std::int64_t kDrawnVoxels = 100'000'000;

struct CaseFacts {
  Shape3 cropped_shape{};
  Spacing3 spacing{};
  double relative_size = 1;
  bool has_foreground = false;
};

class FingerprintExtraction {
 public:
  explicit FingerprintExtraction(const Dataset& dataset)
      : dataset_(dataset),
        cases_(std::ssize(dataset.training)),
        draws_(kDrawnVoxels / std::max<std::int64_t>(1, cases_)),
        facts_(dataset.training.size()),
        drawn_(dataset.channel_names.size()) {
    for (auto& channel : drawn_) channel.resize(static_cast<std::size_t>(cases_ * draws_));
  }

  void read(std::int64_t index) {
    const LoadedCase loaded = load_case(dataset_, dataset_.training[static_cast<std::size_t>(index)]);
    const Geometry& geometry = loaded.channels.front().geometry;
    const AxisMap axes = reader_axes(dataset_.image_reader, geometry, "dataset.json of " + dataset_.name);
    const Shape3 shape = permuted(geometry.shape, axes.order);
    const Box file_box = bounding_box(nonzero_mask(loaded.channels), geometry.shape);
    CaseFacts& facts = facts_[static_cast<std::size_t>(index)];
    facts.cropped_shape = permuted(file_box.shape(), axes.order);
    facts.spacing = permuted(geometry.spacing_mm, axes.order);
    facts.relative_size =
        static_cast<double>(voxel_count(facts.cropped_shape)) / static_cast<double>(voxel_count(shape));
    facts.has_foreground = draw(loaded, file_box, axes, index);
  }

  Fingerprint result() {
    Fingerprint fingerprint;
    std::vector<double> relative_sizes;
    for (const CaseFacts& facts : facts_) {
      fingerprint.cropped_shapes.push_back(facts.cropped_shape);
      fingerprint.spacings_mm.push_back(facts.spacing);
      relative_sizes.push_back(facts.relative_size);
    }
    fingerprint.median_relative_size = numpy_median(relative_sizes);
    for (auto& channel : drawn_) {
      drop_empty_cases(channel);
      fingerprint.channels.push_back(statistics_of(channel));
      std::vector<float>().swap(channel);
    }
    return fingerprint;
  }

 private:
  /// The same generator goes on from channel to channel.
  bool draw(const LoadedCase& loaded, const Box& box, const AxisMap& axes, std::int64_t index) {
    const Shape3& shape = loaded.labels.shape();
    const auto along_reader = [&](const auto& voxels) {
      const auto inside = cropped(voxels, shape, box);
      return mapped(std::span(inside.data(), inside.size()), box.shape(), axes);
    };
    const auto labels = along_reader(loaded.labels.voxels);
    std::vector<std::uint32_t> foreground;
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (labels[i] > 0) foreground.push_back(static_cast<std::uint32_t>(i));
    if (foreground.empty()) return false;
    NumpyRandom random(kSeed);
    std::vector<float> values(foreground.size());
    for (std::size_t c = 0; c < drawn_.size(); ++c) {
      const auto voxels = along_reader(loaded.channels[c].voxels);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = voxels[foreground[i]];
      const auto last = static_cast<std::uint32_t>(values.size() - 1);
      float* to = drawn_[c].data() + index * draws_;
      for (std::int64_t k = 0; k < draws_; ++k) to[k] = values[random.interval(last)];
    }
    return true;
  }

  void drop_empty_cases(std::vector<float>& channel) const {
    auto end = channel.begin();
    for (std::int64_t i = 0; i < cases_; ++i) {
      if (!facts_[static_cast<std::size_t>(i)].has_foreground) continue;
      const auto from = channel.begin() + i * draws_;
      end = end == from ? from + draws_ : std::copy(from, from + draws_, end);
    }
    channel.erase(end, channel.end());
  }

  ChannelStatistics statistics_of(const std::vector<float>& values) const {
    if (values.empty())
      throw UserError("dataset '" + dataset_.name + "': no training case has a labelled voxel; check labelsTr");
    const float mean = numpy_sum(values) / static_cast<float>(values.size());
    const std::vector<double> quantiles = numpy_quantiles(values, {0.0, 0.005, 0.5, 0.995, 1.0});
    return {.mean = mean,
            .standard_deviation = numpy_standard_deviation(values, mean),
            .minimum = quantiles[0],
            .maximum = quantiles[4],
            .median = quantiles[2],
            .percentile_00_5 = quantiles[1],
            .percentile_99_5 = quantiles[3]};
  }

  const Dataset& dataset_;
  std::int64_t cases_, draws_;
  std::vector<CaseFacts> facts_;
  std::vector<std::vector<float>> drawn_;  // by channel: cases_ times draws_
};

}  // namespace

Fingerprint extract_fingerprint(const Dataset& dataset, const std::function<void(std::int64_t)>& done) {
  if (dataset.training.empty()) throw UserError("dataset '" + dataset.name + "' has no training cases");
  FingerprintExtraction extraction(dataset);
  std::mutex mutex;
  std::int64_t finished = 0;
  parallel_for(
      std::ssize(dataset.training), 1,
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          extraction.read(i);
          const std::lock_guard lock(mutex);
          ++finished;
          if (done) done(finished);
        }
      },
      cases_at_once(dataset));
  return extraction.result();
}

Json fingerprint_json(const Fingerprint& fingerprint) {
  return {{"foreground_intensity_properties_per_channel", intensities_json(fingerprint.channels)},
          {"median_relative_size_after_cropping", fingerprint.median_relative_size},
          {"shapes_after_crop", fingerprint.cropped_shapes},
          {"spacings", fingerprint.spacings_mm}};
}

Fingerprint read_fingerprint(const std::filesystem::path& file) {
  const Json json = read_json(file);
  try {
    Fingerprint fingerprint;
    fingerprint.channels = parse_intensities(json.at("foreground_intensity_properties_per_channel"));
    fingerprint.cropped_shapes = json.at("shapes_after_crop").get<std::vector<Shape3>>();
    fingerprint.median_relative_size = json.at("median_relative_size_after_cropping");
    fingerprint.spacings_mm = json.at("spacings").get<std::vector<Spacing3>>();
    return fingerprint;
  } catch (const nlohmann::json::exception& error) {
    throw UserError(file.string() + ": not a dataset_fingerprint.json of nnU-Net v2: " + error.what());
  }
}

}  // namespace m3d
