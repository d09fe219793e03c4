#include "datasets/preprocessing.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "datasets/crop.h"
#include "datasets/normalisation.h"
#include "datasets/numpy_random.h"

namespace m3d {
namespace {

constexpr std::uint32_t kLocationSeed = 1234;
// Cropping that removes a quarter or more means that the outside was blanked: statistics then leave it out (§3).
constexpr double kMaskedBelow = 0.75;

/// Labels in the box, with -1 for background outside the mask; 0 inside where the case has no label map.
std::vector<std::int16_t> crop_labels(const LoadedCase& loaded, const std::vector<std::uint8_t>& mask, const Box& box) {
  const Shape3& shape = loaded.channels.front().shape();
  const auto inside = cropped(mask, shape, box);
  std::vector<std::int16_t> labels = loaded.labels.voxels.empty() ? std::vector<std::int16_t>(inside.size(), 0)
                                                                  : cropped(loaded.labels.voxels, shape, box);
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (inside[i] == 0 && labels[i] == 0) labels[i] = -1;
  return labels;
}

/// §4: per class min(10000, n) voxels but at least 1 %, one generator for all classes in their order. A region's voxels
/// are those of its values, one value after the other.
std::vector<std::vector<std::int64_t>> class_locations(const Dataset& dataset,
                                                       const std::vector<std::int16_t>& labels) {
  std::map<int, std::vector<std::int64_t>> by_value;
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] > 0) by_value[labels[i]].push_back(static_cast<std::int64_t>(i));
  NumpyRandom random(kLocationSeed);
  std::vector<std::vector<std::int64_t>> locations;
  for (const auto& one : dataset.classes) {
    std::vector<std::int64_t> all;
    for (const int value : one.values)
      if (const auto found = by_value.find(value); found != by_value.end())
        all.insert(all.end(), found->second.begin(), found->second.end());
    const auto total = static_cast<std::int64_t>(all.size());
    const auto count = std::max<std::int64_t>(std::min<std::int64_t>(10000, total), (total + 99) / 100);
    auto& chosen = locations.emplace_back();
    if (total == 0) continue;
    for (const std::int64_t index : random.choice_without_replacement(total, count))
      chosen.push_back(all[static_cast<std::size_t>(index)]);
  }
  return locations;
}

}  // namespace

std::vector<bool> channels_normalised_inside(const Dataset& dataset, const Fingerprint& fingerprint) {
  std::vector<bool> inside;
  for (const std::string& name : dataset.channel_names)
    inside.push_back(fingerprint.median_relative_size < kMaskedBelow &&
                     normalisation_of(name) == Normalisation::z_score);
  return inside;
}

PreparedCase prepare_case(const Dataset& dataset, const Fingerprint& fingerprint, const LoadedCase& loaded) {
  const ImageF& first = loaded.channels.front();
  const auto mask = nonzero_mask(loaded);
  const Box box = bounding_box(mask, first.shape());
  PreparedCase prepared;
  prepared.id = loaded.id;
  prepared.shape = box.shape();
  prepared.channels = static_cast<std::int64_t>(loaded.channels.size());
  prepared.original = first.geometry;
  prepared.crop_begin = box.begin;
  prepared.labels = crop_labels(loaded, mask, box);
  const std::vector<bool> inside = channels_normalised_inside(dataset, fingerprint);
  for (std::size_t c = 0; c < loaded.channels.size(); ++c) {
    std::vector<float> voxels = cropped(loaded.channels[c].voxels, first.shape(), box);
    const Normalisation scheme = normalisation_of(dataset.channel_names[c]);
    normalise(voxels, prepared.labels, scheme, fingerprint.channels[c], inside[c]);
    prepared.image.insert(prepared.image.end(), voxels.begin(), voxels.end());
  }
  prepared.class_locations = class_locations(dataset, prepared.labels);
  if (dataset.ignore_label)
    std::replace(prepared.labels.begin(), prepared.labels.end(), static_cast<std::int16_t>(*dataset.ignore_label),
                 std::int16_t{-1});
  return prepared;
}

}  // namespace m3d
