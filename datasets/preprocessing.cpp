#include "datasets/preprocessing.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "common/error.h"
#include "datasets/crop.h"
#include "datasets/normalisation.h"
#include "datasets/numpy_random.h"
#include "datasets/planned_preprocessing.h"

namespace m3d {
namespace {

constexpr std::uint32_t kLocationSeed = 1234;
constexpr std::int64_t kLocationsPerClass = 10'000;
// Cropping that removes a quarter or more means that the outside was blanked: statistics then leave it out (§3).
constexpr double kMaskedBelow = 0.75;

/// The voxels of a case along the axes in which it is prepared.
struct CaseVoxels {
  Shape3 shape{};
  std::vector<ImageF> channels;
  std::vector<std::int16_t> labels;  // empty: none
};

CaseVoxels along(const AxisMap& axes, const LoadedCase& loaded) {
  CaseVoxels voxels;
  const Geometry& geometry = loaded.channels.front().geometry;
  voxels.shape = permuted(geometry.shape, axes.order);
  for (const ImageF& channel : loaded.channels) {
    ImageF turned{geometry, mapped(std::span<const float>(channel.voxels), geometry.shape, axes)};
    turned.geometry.shape = voxels.shape;
    voxels.channels.push_back(std::move(turned));
  }
  if (!loaded.labels.voxels.empty())
    voxels.labels = mapped(std::span<const std::int16_t>(loaded.labels.voxels), geometry.shape, axes);
  return voxels;
}

/// Labels in the box, with -1 for background outside the mask; 0 inside where the case has no label map.
std::vector<std::int16_t> crop_labels(const std::vector<std::int16_t>& all, const Shape3& shape,
                                      const std::vector<std::uint8_t>& mask, const Box& box) {
  const auto inside = cropped(mask, shape, box);
  std::vector<std::int16_t> labels =
      all.empty() ? std::vector<std::int16_t>(inside.size(), 0) : cropped(all, shape, box);
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (inside[i] == 0 && labels[i] == 0) labels[i] = -1;
  return labels;
}

/// Draws locations of one class after the other from one generator (§4).
class LocationSampler {
 public:
  explicit LocationSampler(const std::vector<std::int16_t>& labels) : random_(kLocationSeed) {
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (labels[i] > 0) by_value_[labels[i]].push_back(static_cast<std::int64_t>(i));
  }

  /// min(10000, n) voxels but at least 1 %. A region's voxels are those of its values, one value after the other.
  std::vector<std::int64_t> draw(const std::vector<int>& values) {
    std::vector<std::int64_t> all, chosen;
    for (const int value : values)
      if (const auto found = by_value_.find(value); found != by_value_.end())
        all.insert(all.end(), found->second.begin(), found->second.end());
    if (all.empty()) return chosen;
    const auto total = static_cast<std::int64_t>(all.size());
    const std::int64_t count = std::max(std::min(kLocationsPerClass, total), (total + 99) / 100);
    for (const std::int64_t index : random_.choice_without_replacement(total, count))
      chosen.push_back(all[static_cast<std::size_t>(index)]);
    return chosen;
  }

  void add_background(const std::vector<std::int16_t>& labels) {
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (labels[i] <= 0) by_value_[labels[i]].push_back(static_cast<std::int64_t>(i));
  }

 private:
  std::map<int, std::vector<std::int64_t>> by_value_;
  NumpyRandom random_;
};

void draw_locations(const Dataset& dataset, PreparedCase& prepared) {
  LocationSampler sampler(prepared.labels);
  for (const LabelClass& one : dataset.classes) prepared.class_locations.push_back(sampler.draw(one.values));
  if (!dataset.ignore_label) return;
  std::vector<int> annotated{-1, 0};
  for (const LabelClass& one : dataset.classes) annotated.insert(annotated.end(), one.values.begin(), one.values.end());
  std::sort(annotated.begin(), annotated.end());
  annotated.erase(std::unique(annotated.begin(), annotated.end()), annotated.end());
  sampler.add_background(prepared.labels);
  prepared.annotated_locations = sampler.draw(annotated);
}

PlannedGrid grid_of(const AxisMap& axes, const PlanConfiguration& plan, const Geometry& file,
                    const Shape3& cropped_shape) {
  PlannedGrid grid{axes, cropped_shape, permuted(file.spacing_mm, axes.order), {}, plan.logits};
  grid.spacing_mm = grid.cropped_spacing_mm;
  // A 2D configuration keeps the first axis.
  std::copy(plan.spacing.begin(), plan.spacing.end(), grid.spacing_mm.end() - std::ssize(plan.spacing));
  return grid;
}

AxisMap axes_of(const Plans& plans, const Geometry& file) {
  return reader_axes(plans.image_reader(), file, plans.where()).then(plans.transpose());
}

/// What the two ways of preparing a case differ in.
struct Preparation {
  AxisMap axes;
  std::vector<Normalisation> normalisations;
  std::vector<bool> use_mask;
  const std::vector<ChannelStatistics>& statistics;
  const PlanConfiguration* plan = nullptr;  // absent: native spacing
  PlannedPreparation options{};
};

class CasePreparation {
 public:
  CasePreparation(const Dataset& dataset, const Preparation& how, const LoadedCase& loaded)
      : dataset_(dataset), how_(how), loaded_(loaded) {}

  PreparedCase run() {
    prepared_.id = loaded_.id;
    prepared_.channels = std::ssize(loaded_.channels);
    prepared_.original = loaded_.channels.front().geometry;
    crop_and_normalise();
    if (how_.plan) resample();
    draw_locations(dataset_, prepared_);
    if (dataset_.ignore_label && !how_.options.keep_ignore_label)
      std::replace(prepared_.labels.begin(), prepared_.labels.end(), static_cast<std::int16_t>(*dataset_.ignore_label),
                   std::int16_t{-1});
    return std::move(prepared_);
  }

 private:
  void crop_and_normalise() {
    CaseVoxels turned;
    if (!how_.axes.is_identity()) turned = along(how_.axes, loaded_);
    const std::vector<ImageF>& channels = turned.channels.empty() ? loaded_.channels : turned.channels;
    const Shape3 shape = channels.front().shape();
    const auto mask = nonzero_mask(channels);
    const Box box = bounding_box(mask, shape);
    prepared_.shape = box.shape();
    prepared_.crop_begin = box.begin;
    prepared_.labels = crop_labels(turned.channels.empty() ? loaded_.labels.voxels : turned.labels, shape, mask, box);
    for (std::size_t c = 0; c < channels.size(); ++c) {
      std::vector<float> voxels = cropped(channels[c].voxels, shape, box);
      normalise(voxels, prepared_.labels, how_.normalisations[c], how_.statistics[c], how_.use_mask[c]);
      prepared_.image.insert(prepared_.image.end(), voxels.begin(), voxels.end());
    }
  }

  void resample() {
    const PlannedGrid grid = grid_of(how_.axes, *how_.plan, prepared_.original, prepared_.shape);
    prepared_.shape = shape_at_spacing(grid.cropped_shape, grid.cropped_spacing_mm, grid.spacing_mm);
    if (*std::min_element(prepared_.shape.begin(), prepared_.shape.end()) < 1)
      throw UserError("case '" + loaded_.id + "' (" + describe(prepared_.original) +
                      ") has no voxel left at the plan's " + "spacing; is the spacing in its header right?");
    const auto resampling = [&](const ResamplingRule& rule) {
      return Resampling(grid.cropped_shape, prepared_.shape, grid.cropped_spacing_mm, grid.spacing_mm, rule);
    };
    resample_channels(resampling(how_.plan->image), static_cast<std::size_t>(voxel_count(grid.cropped_shape)));
    prepared_.labels = resampling(how_.plan->labels).labels(prepared_.labels, how_.options.label_rule);
    prepared_.planned = grid;
  }

  void resample_channels(const Resampling& resampling, std::size_t voxels) {
    if (resampling.is_identity()) return;
    const auto new_voxels = static_cast<std::size_t>(voxel_count(prepared_.shape));
    std::vector<float> resampled(new_voxels * static_cast<std::size_t>(prepared_.channels));
    for (std::size_t c = 0; c < static_cast<std::size_t>(prepared_.channels); ++c)
      resampling.image(std::span<const float>(prepared_.image).subspan(c * voxels, voxels),
                       std::span<float>(resampled).subspan(c * new_voxels, new_voxels));
    prepared_.image = std::move(resampled);
  }

  const Dataset& dataset_;
  const Preparation& how_;
  const LoadedCase& loaded_;
  PreparedCase prepared_;
};

}  // namespace

std::vector<bool> channels_normalised_inside(const Dataset& dataset, const Fingerprint& fingerprint) {
  std::vector<bool> inside;
  for (const std::string& name : dataset.channel_names)
    inside.push_back(fingerprint.median_relative_size < kMaskedBelow &&
                     normalisation_of(name) == Normalisation::z_score);
  return inside;
}

PreparedCase prepare_case(const Dataset& dataset, const Fingerprint& fingerprint, const LoadedCase& loaded) {
  Preparation how{{}, {}, {}, fingerprint.channels};
  for (const std::string& channel : dataset.channel_names) how.normalisations.push_back(normalisation_of(channel));
  how.use_mask = channels_normalised_inside(dataset, fingerprint);
  return CasePreparation(dataset, how, loaded).run();
}

PreparedCase prepare_case(const Dataset& dataset, const Plans& plans, const PlanConfiguration& configuration,
                          const LoadedCase& loaded, const PlannedPreparation& options) {
  if (loaded.channels.size() != configuration.normalisations.size())
    throw UserError(plans.where() + ": made for " + std::to_string(configuration.normalisations.size()) +
                    " channels; '" + loaded.id + "' has " + std::to_string(loaded.channels.size()));
  const Preparation how{axes_of(plans, loaded.channels.front().geometry),
                        configuration.normalisations,
                        configuration.use_mask_for_norm,
                        plans.intensities(),
                        &configuration,
                        options};
  return CasePreparation(dataset, how, loaded).run();
}

PlannedGrid planned_grid(const Plans& plans, const PlanConfiguration& configuration, const Geometry& file,
                         const Shape3& cropped_shape) {
  return grid_of(axes_of(plans, file), configuration, file, cropped_shape);
}

AxisMap reader_axes(const std::string& image_reader, const Geometry& geometry, const std::string& where) {
  if (image_reader == "SimpleITKIO" || image_reader == "NibabelIO") return {};
  if (image_reader == "NibabelIOWithReorient" || image_reader == "SimpleITKIOWithReorient")
    return towards_ras(geometry);
  throw UserError(where + ": image reader '" + image_reader +
                  "' is not known; known: SimpleITKIO, SimpleITKIOWithReorient, NibabelIO, NibabelIOWithReorient");
}

}  // namespace m3d
