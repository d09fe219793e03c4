// nnunet_conventions.md §6, with the loader's patch equal to the network's (no rotation yet).
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "common/random.h"
#include "datasets/preprocessing.h"

namespace m3d {
namespace {

/// Where a patch lies and how it is turned over.
struct Window {
  Shape3 begin{};
  std::array<bool, 3> mirrored{};
};

/// A uniformly drawn voxel of a uniformly drawn class among those present; -1 where there is none.
std::int64_t draw_foreground_voxel(const PreparedCase& one, RandomStream& random) {
  std::vector<const std::vector<std::int64_t>*> present;
  for (const auto& locations : one.class_locations)
    if (!locations.empty()) present.push_back(&locations);
  if (present.empty()) return -1;
  const auto& locations = *present[static_cast<std::size_t>(random.integer(0, std::ssize(present) - 1))];
  return locations[static_cast<std::size_t>(random.integer(0, std::ssize(locations) - 1))];
}

Window draw_window(const PreparedCase& one, const PatchSampler::Options& options, bool forced, RandomStream& random) {
  const std::int64_t voxel = forced ? draw_foreground_voxel(one, random) : -1;
  const Shape3 centre{voxel / one.shape[2] / one.shape[1], voxel / one.shape[2] % one.shape[1], voxel % one.shape[2]};
  Window window;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::int64_t patch = options.patch[axis];
    const std::int64_t padding = std::max<std::int64_t>(0, patch - one.shape[axis]);
    const std::int64_t lowest = -((padding + 1) / 2);
    const std::int64_t highest = one.shape[axis] + padding / 2 + padding % 2 - patch;
    window.begin[axis] = voxel >= 0 ? std::max(lowest, centre[axis] - patch / 2) : random.integer(lowest, highest);
  }
  for (bool& mirrored : window.mirrored) mirrored = options.mirror && random.uniform() < 0.5;
  return window;
}

/// Copies the part of `source` (`shape`) under the window into `target` (`patch`, filled with 0 before), row by row.
/// `turn` maps each value (labels lose their -1).
template <class T, class Turn>
void copy_window(const T* source, const Shape3& shape, const Window& window, const Shape3& patch, T* target,
                 const Turn& turn) {
  const auto position = [&](std::size_t axis, std::int64_t i) {
    return window.mirrored[axis] ? patch[axis] - 1 - i : i;
  };
  const auto range = [&](std::size_t axis) {
    return std::pair(std::max<std::int64_t>(0, -window.begin[axis]),
                     std::min(patch[axis], shape[axis] - window.begin[axis]));
  };
  const auto [z_begin, z_end] = range(0);
  const auto [y_begin, y_end] = range(1);
  const auto [x_begin, x_end] = range(2);
  if (x_begin >= x_end) return;
  for (std::int64_t z = z_begin; z < z_end; ++z)
    for (std::int64_t y = y_begin; y < y_end; ++y) {
      const T* from = source + ((window.begin[0] + z) * shape[1] + window.begin[1] + y) * shape[2] + window.begin[2];
      T* to = target + (position(0, z) * patch[1] + position(1, y)) * patch[2];
      if (window.mirrored[2])
        std::transform(from + x_begin, from + x_end, std::reverse_iterator(to + patch[2] - x_begin), turn);
      else
        std::transform(from + x_begin, from + x_end, to + x_begin, turn);
    }
}

}  // namespace

PatchSampler::PatchSampler(std::vector<std::shared_ptr<const PreparedCase>> cases, Options options, std::uint64_t seed)
    : cases_(std::move(cases)), options_(options), seed_(seed) {
  if (cases_.empty() || options_.batch_size < 1 || voxel_count(options_.patch) < 1)
    throw std::logic_error("PatchSampler needs cases, a batch size and a patch");
}

Batch PatchSampler::draw(std::int64_t step) const {
  const std::int64_t voxels = voxel_count(options_.patch);
  Batch batch{options_.patch, options_.batch_size, cases_.front()->channels, {}, {}};
  batch.image.resize(static_cast<std::size_t>(batch.size * batch.channels * voxels));
  batch.labels.resize(static_cast<std::size_t>(batch.size * voxels));
  const auto unforced = static_cast<double>(options_.batch_size) * (1 - options_.foreground_fraction);
  for (std::int64_t j = 0; j < batch.size; ++j) {
    RandomStream random(seed_, "patch", (static_cast<std::uint64_t>(step) << 16) + static_cast<std::uint64_t>(j));
    const PreparedCase& one = *cases_[static_cast<std::size_t>(random.integer(0, std::ssize(cases_) - 1))];
    const bool forced = static_cast<double>(j) >= std::nearbyint(unforced);  // nearbyint: ties to even, as Python
    const Window window = draw_window(one, options_, forced, random);
    for (std::int64_t c = 0; c < batch.channels; ++c)
      copy_window(one.image.data() + c * voxel_count(one.shape), one.shape, window, options_.patch,
                  batch.image.data() + (j * batch.channels + c) * voxels, [](float value) { return value; });
    copy_window(one.labels.data(), one.shape, window, options_.patch, batch.labels.data() + j * voxels,
                [](std::int16_t label) { return std::max<std::int16_t>(label, 0); });
  }
  return batch;
}

}  // namespace m3d
