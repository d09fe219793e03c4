#include "datasets/preprocessing/preprocessing.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "common/error.h"
#include "datasets/numerics/numpy_random.h"
#include "datasets/preprocessing/crop.h"
#include "datasets/preprocessing/normalisation.h"
#include "datasets/preprocessing/planned_preprocessing.h"

namespace m3d {
namespace {

constexpr std::uint32_t kLocationSeed = 1234;
constexpr std::int64_t kLocationsPerClass = 10'000;
// Cropping that removes a quarter or more means that the outside was blanked: statistics then leave it out (§3).
constexpr double kMaskedBelow = 0.75;

/// Turns the case's voxels to the axes in which it is prepared. Its geometries stay those of the file.
void turn(const AxisMap& axes, LoadedCase& loaded) {
  if (axes.is_identity()) return;
  const Shape3 shape = loaded.channels.front().geometry.shape;
  for (ImageF& channel : loaded.channels) {
    channel.voxels = mapped(std::span<const float>(channel.voxels), shape, axes);
    channel.geometry.shape = permuted(shape, axes.order);
  }
  if (!loaded.labels.voxels.empty())
    loaded.labels.voxels = mapped(std::span<const std::int16_t>(loaded.labels.voxels), shape, axes);
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
  CasePreparation(const Dataset& dataset, const Preparation& how, LoadedCase loaded)
      : dataset_(dataset), how_(how), loaded_(std::move(loaded)) {}

  PreparedCase run() {
    prepared_.id = loaded_.id;
    prepared_.channels = std::ssize(loaded_.channels);
    prepared_.original = loaded_.channels.front().geometry;
    turn(how_.axes, loaded_);
    crop_and_normalise();
    if (how_.plan) resample();
    draw_locations(dataset_, prepared_);
    return std::move(prepared_);
  }

 private:
  void crop_and_normalise() {
    const Shape3 shape = loaded_.channels.front().shape();
    std::vector<std::uint8_t> mask = nonzero_mask(loaded_.channels);
    const Box box = bounding_box(mask, shape);
    prepared_.shape = box.shape();
    prepared_.crop_begin = box.begin;
    crop_in_place(mask, shape, box);
    if (!loaded_.labels.voxels.empty()) {
      prepared_.labels = std::move(loaded_.labels.voxels);
      crop_in_place(prepared_.labels, shape, box);
      mark_outside(mask);
    }
    if (std::find(how_.use_mask.begin(), how_.use_mask.end(), true) == how_.use_mask.end()) mask = {};
    for (std::size_t c = 0; c < loaded_.channels.size(); ++c) {
      std::vector<float> voxels = std::move(loaded_.channels[c].voxels);
      crop_in_place(voxels, shape, box);
      const std::span<const std::uint8_t> inside(mask);
      normalise(voxels, how_.use_mask[c] ? inside : inside.first(0), how_.normalisations[c], how_.statistics[c]);
      if (loaded_.channels.size() == 1)
        prepared_.image = std::move(voxels);
      else
        prepared_.image.insert(prepared_.image.end(), voxels.begin(), voxels.end());
    }
  }

  /// Background outside the mask becomes -1; what is labelled counts as inside.
  void mark_outside(std::vector<std::uint8_t>& mask) {
    for (std::size_t i = 0; i < mask.size(); ++i) {
      std::int16_t& label = prepared_.labels[i];
      if (mask[i] == 0 && label == 0) label = -1;
      mask[i] = label >= 0;
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
    if (!prepared_.labels.empty())
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
  LoadedCase loaded_;
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

PreparedCase prepare_case(const Dataset& dataset, const Fingerprint& fingerprint, LoadedCase loaded) {
  Preparation how{{}, {}, {}, fingerprint.channels};
  for (const std::string& channel : dataset.channel_names) how.normalisations.push_back(normalisation_of(channel));
  how.use_mask = channels_normalised_inside(dataset, fingerprint);
  return CasePreparation(dataset, how, std::move(loaded)).run();
}

PreparedCase prepare_case(const Dataset& dataset, const Plans& plans, const PlanConfiguration& configuration,
                          LoadedCase loaded, const PlannedPreparation& options) {
  if (loaded.channels.size() != configuration.normalisations.size())
    throw UserError(plans.where() + ": made for " + std::to_string(configuration.normalisations.size()) +
                    " channels; '" + loaded.id + "' has " + std::to_string(loaded.channels.size()));
  const Preparation how{axes_of(plans, loaded.channels.front().geometry),
                        configuration.normalisations,
                        configuration.use_mask_for_norm,
                        plans.intensities(),
                        &configuration,
                        options};
  return CasePreparation(dataset, how, std::move(loaded)).run();
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
