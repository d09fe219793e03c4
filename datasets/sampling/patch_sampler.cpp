#include "datasets/sampling/patch_sampler.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "common/random.h"
#include "datasets/numerics/cubic_transform.h"
#include "datasets/parallel.h"
#include "datasets/sampling/augmentation_operations.h"
#include "datasets/sampling/cascade_augmentation.h"

namespace m3d {
namespace {

std::vector<std::shared_ptr<const PatchSource>> sources_of(
    const std::vector<std::shared_ptr<const PreparedCase>>& cases) {
  std::vector<std::shared_ptr<const PatchSource>> sources;
  for (const auto& one : cases) sources.push_back(in_memory_source(one));
  return sources;
}

std::int64_t drawn_from(const std::vector<std::int64_t>& locations, RandomStream& random) {
  return locations[static_cast<std::size_t>(random.integer(0, std::ssize(locations) - 1))];
}

/// A uniformly drawn voxel of a uniformly drawn class among those present; -1 where there is none.
std::int64_t draw_foreground_voxel(const PatchSource& one, RandomStream& random) {
  const auto locations = one.class_locations();
  std::vector<const std::vector<std::int64_t>*> present;
  for (const auto& of_class : *locations)
    if (!of_class.empty()) present.push_back(&of_class);
  if (present.empty()) return -1;
  return drawn_from(*present[static_cast<std::size_t>(random.integer(0, std::ssize(present) - 1))], random);
}

/// The voxel around which the loader's patch is cut; -1 where it may lie anywhere.
std::int64_t draw_centre(const PatchSource& one, bool forced, RandomStream& random) {
  if (forced) return draw_foreground_voxel(one, random);
  const auto annotated = one.annotated_locations();
  return annotated && !annotated->empty() ? drawn_from(*annotated, random) : -1;
}

/// The first voxel of the loader's patch in the case (§6): anywhere between bounds that let the network's patch reach
/// the case's border, or around a voxel, and then not bound above.
Shape3 draw_begin(const PatchSource& one, const Shape3& loader_patch, const Shape3& patch, bool forced,
                  RandomStream& random) {
  const Shape3 shape = one.shape();
  const std::int64_t voxel = draw_centre(one, forced, random);
  const Shape3 centre{voxel / shape[2] / shape[1], voxel / shape[2] % shape[1], voxel % shape[2]};
  Shape3 begin{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::int64_t padding = std::max(loader_patch[axis] - patch[axis], loader_patch[axis] - shape[axis]);
    const std::int64_t lowest = -((padding + 1) / 2);
    const std::int64_t highest = shape[axis] + padding / 2 + padding % 2 - loader_patch[axis];
    begin[axis] =
        voxel >= 0 ? std::max(lowest, centre[axis] - loader_patch[axis] / 2) : random.integer(lowest, highest);
  }
  return begin;
}

/// The part of a box at `begin` that lies within a case; empty on all axes where none does.
SourceBox within(const Shape3& begin, const Shape3& end, const Shape3& shape) {
  SourceBox box;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    box.begin[axis] = std::clamp<std::int64_t>(begin[axis], 0, shape[axis]);
    box.end[axis] = std::clamp<std::int64_t>(end[axis], box.begin[axis], shape[axis]);
  }
  if (voxel_count(box.size()) == 0) box.end = box.begin;
  return box;
}

/// Where a sample's voxels go within its batch.
struct SampleTarget {
  std::span<float> image;            // [C, patch]
  std::span<std::int16_t> labels;    // [patch]
  std::span<std::int16_t> previous;  // [patch], of a cascade's first stage; empty: there is none
};

std::int16_t* data_or_null(std::span<std::int16_t> labels) { return labels.empty() ? nullptr : labels.data(); }

/// Labels are -1 and images 0 outside the case; the target's images are 0 already.
void copy_patch(const PatchSource& one, const Shape3& begin, const Shape3& patch, const SampleTarget& target) {
  const Shape3 end{begin[0] + patch[0], begin[1] + patch[1], begin[2] + patch[2]};
  const SourceBox box = within(begin, end, one.shape());
  if (box.size() != patch)
    for (const auto& labels : {target.labels, target.previous})
      std::fill(labels.begin(), labels.end(), std::int16_t{-1});
  if (voxel_count(box.size()) == 0) return;
  const Shape3 offset{box.begin[0] - begin[0], box.begin[1] - begin[1], box.begin[2] - begin[2]};
  one.read(box.begin, box.size(),
           {target.image.data(), target.labels.data(), patch, offset, data_or_null(target.previous)});
}

/// Fills what the box does not cover of one padded volume.
template <class T>
void fill_margin(T* volume, const PaddedBox& box, T value) {
  const auto [depth, height, width] = box.padded();
  constexpr std::int64_t before = PaddedBox::kBefore;
  for (std::int64_t z = 0; z < depth; ++z)
    for (std::int64_t y = 0; y < height; ++y) {
      T* row = volume + (z * height + y) * width;
      const bool inner = z >= before && z < before + box.size[0] && y >= before && y < before + box.size[1];
      std::fill(row, row + (inner ? before : width), value);
      if (inner) std::fill(row + before + box.size[2], row + width, value);
    }
}

/// The region that a turned patch touches; kept by each thread for its next sample.
struct Region {
  std::vector<float> image;
  std::vector<std::int16_t> labels, previous;
};

void sample_linearly(const PatchSource& one, const Shape3& begin, const SpatialGrid& grid, const SampleTarget& target) {
  thread_local Region region;
  const SourceBox touched = source_box(grid);
  Shape3 first{}, last{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    first[axis] = begin[axis] + touched.begin[axis];
    last[axis] = begin[axis] + touched.end[axis];
  }
  const SourceBox read = within(first, last, one.shape());
  const PaddedBox box{{read.begin[0] - begin[0], read.begin[1] - begin[1], read.begin[2] - begin[2]}, read.size()};
  const auto voxels = static_cast<std::size_t>(voxel_count(box.padded()));
  const auto channels = static_cast<std::size_t>(one.channels());
  region.image.resize(std::max(region.image.size(), channels * voxels));
  region.labels.resize(std::max(region.labels.size(), voxels));
  for (std::size_t c = 0; c < channels; ++c) fill_margin(region.image.data() + c * voxels, box, 0.0F);
  fill_margin(region.labels.data(), box, std::int16_t{-1});
  if (!target.previous.empty()) {
    region.previous.resize(std::max(region.previous.size(), voxels));
    fill_margin(region.previous.data(), box, std::int16_t{-1});
  }
  const std::span<std::int16_t> previous(region.previous.data(), target.previous.empty() ? 0 : voxels);
  constexpr auto before = PaddedBox::kBefore;
  if (voxel_count(box.size) > 0)
    one.read(
        read.begin, read.size(),
        {region.image.data(), region.labels.data(), box.padded(), {before, before, before}, data_or_null(previous)});
  sample_patch(grid, box, {region.image.data(), channels * voxels}, {region.labels.data(), voxels}, target.image,
               target.labels);
  if (!previous.empty()) sample_patch(grid, box, {}, previous, {}, target.previous);
}

void sample_by_spline(const PatchSource& one, const Shape3& begin, const SpatialGrid& grid,
                      const SampleTarget& target) {
  thread_local Region region;
  const SourceBox touched = cubic_source_box(grid);
  const Shape3 size = touched.size();
  const auto voxels = static_cast<std::size_t>(voxel_count(size));
  region.image.assign(static_cast<std::size_t>(one.channels()) * voxels, 0.0F);
  region.labels.resize(voxels);
  const Shape3 first{begin[0] + touched.begin[0], begin[1] + touched.begin[1], begin[2] + touched.begin[2]};
  region.previous.resize(target.previous.empty() ? 0 : voxels);
  copy_patch(one, first, size, {region.image, region.labels, region.previous});
  sample_patch_cubic(grid, touched, region.image, region.labels, target.image, target.labels);
  if (!target.previous.empty()) sample_patch_cubic(grid, touched, {}, region.previous, {}, target.previous);
}

/// The network's patch in the middle of the loader's (§7.1: start floor(size / 2) - patch / 2).
Shape3 centred(const Shape3& begin, const Shape3& loader_patch, const Shape3& patch) {
  Shape3 first{};
  for (std::size_t axis = 0; axis < 3; ++axis) first[axis] = begin[axis] + loader_patch[axis] / 2 - patch[axis] / 2;
  return first;
}

/// §7.10 and 11: image 0 outside the mask where the channel is normalised within it; labels lose their -1.
void finish(const std::vector<bool>& masked_channels, const SampleTarget& target) {
  const std::size_t voxels = target.labels.size();
  for (std::size_t c = 0; c < masked_channels.size(); ++c)
    if (masked_channels[c])
      for (std::size_t i = 0; i < voxels; ++i)
        if (target.labels[i] < 0) target.image[c * voxels + i] = 0;
  for (std::int16_t& label : target.labels) label = std::max<std::int16_t>(label, 0);
}

void turn_over(const Shape3& patch, const std::array<bool, 3>& axes, const SampleTarget& target) {
  const std::size_t voxels = target.labels.size();
  for (std::size_t begin = 0; begin < target.image.size(); begin += voxels)
    mirror(target.image.subspan(begin, voxels), patch, axes);
  mirror(target.labels, patch, axes);
  if (!target.previous.empty()) mirror(target.previous, patch, axes);
}

/// The first stage's segmentation as one channel a label; spoilt where patches are augmented.
void write_masks(const PatchSampler::Options& options, std::span<const std::int16_t> previous, RandomStream& random,
                 std::span<float> channels) {
  std::vector<std::uint8_t> masks = one_hot(previous, options.previous_labels);
  if (options.augmentation != Augmentation::none)
    augment_masks(draw_cascade_augmentation(options.previous_labels.size(), random), options.patch, masks);
  std::copy(masks.begin(), masks.end(), channels.begin());
}

}  // namespace

PatchSampler::PatchSampler(std::vector<std::shared_ptr<const PatchSource>> cases, Options options, std::uint64_t seed)
    : cases_(std::move(cases)), options_(std::move(options)), seed_(seed) {
  if (cases_.empty() || options_.batch_size < 1 || voxel_count(options_.patch) < 1)
    throw std::logic_error("PatchSampler needs cases, a batch size and a patch");
  for (const auto& one : cases_)
    if (!options_.previous_labels.empty() && !one->has_previous_stage())
      throw std::logic_error("PatchSampler: a case has no segmentation of the first stage");
  loader_patch_ = options_.augmentation == Augmentation::none ? options_.patch : initial_patch_size(options_.patch);
}

PatchSampler::PatchSampler(const std::vector<std::shared_ptr<const PreparedCase>>& cases, Options options,
                           std::uint64_t seed)
    : PatchSampler(sources_of(cases), std::move(options), seed) {}

Batch PatchSampler::draw(std::int64_t step) const {
  const std::int64_t voxels = voxel_count(options_.patch);
  Batch batch{
      options_.patch, options_.batch_size, cases_.front()->channels() + std::ssize(options_.previous_labels), {}, {}};
  batch.image.resize(static_cast<std::size_t>(batch.size * batch.channels * voxels));
  batch.labels.resize(static_cast<std::size_t>(batch.size * voxels));
  for (std::int64_t j = 0; j < batch.size; ++j) draw_sample(step, j, batch);
  return batch;
}

void PatchSampler::draw_sample(std::int64_t step, std::int64_t sample, Batch& batch) const {
  const Shape3& patch = options_.patch;
  const auto voxels = static_cast<std::size_t>(voxel_count(patch)), of_masks = options_.previous_labels.size() * voxels,
             of_sample = static_cast<std::size_t>(batch.channels) * voxels;
  const auto all_channels = std::span(batch.image).subspan(static_cast<std::size_t>(sample) * of_sample, of_sample);
  thread_local std::vector<std::int16_t> previous;
  previous.resize(of_masks > 0 ? voxels : 0);
  const SampleTarget target{all_channels.first(of_sample - of_masks),
                            std::span(batch.labels).subspan(static_cast<std::size_t>(sample) * voxels, voxels),
                            previous};
  const auto index = (static_cast<std::uint64_t>(step) << 16) + static_cast<std::uint64_t>(sample);
  RandomStream random(seed_, "patch", index);
  const PatchSource& one = *cases_[static_cast<std::size_t>(random.integer(0, std::ssize(cases_) - 1))];
  const auto unforced = static_cast<double>(options_.batch_size) * (1 - options_.foreground_fraction);
  const bool forced = static_cast<double>(sample) >= std::nearbyint(unforced);  // nearbyint: ties to even, as Python
  const Shape3 begin = draw_begin(one, loader_patch_, patch, forced, random);
  SampleAugmentation augmentation;
  if (options_.augmentation != Augmentation::none) {
    RandomStream values(seed_, "augmentation", index);
    augmentation = draw_augmentation(options_.augmentation, patch, one.channels(), values);
  }
  for (bool& axis : augmentation.mirrored) axis = options_.mirror && random.uniform() < 0.5;
  const SerialLoops serial;  // samples are drawn by several threads
  if (augmentation.spatial) {
    const SpatialGrid grid{*augmentation.spatial, patch, loader_patch_};
    const bool cubic = augmentation.kind == Augmentation::nnunet_v1;
    cubic ? sample_by_spline(one, begin, grid, target) : sample_linearly(one, begin, grid, target);
  } else {
    copy_patch(one, centred(begin, loader_patch_, patch), patch, target);
  }
  augment_intensities(augmentation, patch, target.image);
  turn_over(patch, augmentation.mirrored, target);
  finish(options_.masked_channels, target);
  if (of_masks > 0) {
    RandomStream values(seed_, "cascade augmentation", index);
    write_masks(options_, previous, values, all_channels.last(of_masks));
  }
}

}  // namespace m3d
