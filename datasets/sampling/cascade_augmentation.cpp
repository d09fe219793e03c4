#include "datasets/sampling/cascade_augmentation.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace m3d {
namespace {

constexpr double kBinaryOperation = 0.4, kRemoval = 0.2, kOfLabel = 0.5;
constexpr double kSmallestRadius = 1, kLargestRadius = 8;
constexpr double kLargestRemoved = 0.15;  // of the patch

using Mask = std::vector<std::uint8_t>;

/// A run of a ball's voxels along x: offsets first … last.
struct Run {
  std::int64_t z, y, first, last;
};

/// scikit-image's ball of a radius that need not be whole: a cube of int(2 r + 1) voxels that spans [-r, r] along each
/// axis. Where that is even, the voxel in question is the lower one of the middle two.
std::vector<Run> ball_runs(double radius) {
  const auto size = static_cast<std::int64_t>(2 * radius + 1);
  const std::int64_t centre = (size - 1) / 2;
  const auto at = [&](std::int64_t i) {
    return size > 1 ? -radius + static_cast<double>(i) * (2 * radius / static_cast<double>(size - 1)) : -radius;
  };
  std::vector<Run> runs;
  for (std::int64_t z = 0; z < size; ++z)
    for (std::int64_t y = 0; y < size; ++y) {
      std::int64_t first = size, last = -1;
      for (std::int64_t x = 0; x < size; ++x)
        if (at(x) * at(x) + at(y) * at(y) + at(z) * at(z) <= radius * radius) first = std::min(first, x), last = x;
      if (last >= first) runs.push_back({z - centre, y - centre, first - centre, last - centre});
    }
  return runs;
}

/// Voxel x of each row is 1 where one of x + first … x + last is.
Mask widened(const Mask& mask, std::int64_t width, std::int64_t first, std::int64_t last) {
  Mask result(mask.size(), 0);
  std::vector<std::int64_t> ones(static_cast<std::size_t>(width) + 1);  // before each voxel of the row
  for (std::size_t row = 0; row < mask.size(); row += static_cast<std::size_t>(width)) {
    for (std::size_t x = 0; x < static_cast<std::size_t>(width); ++x) ones[x + 1] = ones[x] + mask[row + x];
    for (std::int64_t x = 0; x < width; ++x) {
      const auto begin = static_cast<std::size_t>(std::clamp<std::int64_t>(x + first, 0, width));
      const auto end = static_cast<std::size_t>(std::clamp<std::int64_t>(x + last + 1, 0, width));
      result[row + static_cast<std::size_t>(x)] = ones[end] > ones[begin] ? 1 : 0;
    }
  }
  return result;
}

/// Voxel p is 1 where the mask has a 1 at p + one of the ball's offsets.
Mask dilated(const Mask& mask, const Shape3& shape, const std::vector<Run>& ball) {
  const auto [depth, height, width] = shape;
  std::map<std::pair<std::int64_t, std::int64_t>, Mask> wide;  // by the run's ends
  Mask result(mask.size(), 0);
  for (const Run& run : ball) {
    const auto known = wide.find({run.first, run.last});
    const Mask& rows =
        known != wide.end()
            ? known->second
            : wide.emplace(std::pair(run.first, run.last), widened(mask, width, run.first, run.last)).first->second;
    for (std::int64_t z = std::max<std::int64_t>(0, -run.z); z < std::min(depth, depth - run.z); ++z)
      for (std::int64_t y = std::max<std::int64_t>(0, -run.y); y < std::min(height, height - run.y); ++y) {
        const std::uint8_t* from = rows.data() + ((z + run.z) * height + y + run.y) * width;
        std::uint8_t* to = result.data() + (z * height + y) * width;
        for (std::int64_t x = 0; x < width; ++x) to[x] |= from[x];
      }
  }
  return result;
}

Mask inverted(Mask mask) {
  for (std::uint8_t& voxel : mask) voxel = voxel == 0;
  return mask;
}

/// What lies outside the patch does not erode.
Mask eroded(const Mask& mask, const Shape3& shape, const std::vector<Run>& ball) {
  return inverted(dilated(inverted(mask), shape, ball));
}

Mask applied(BinaryOperation operation, const Mask& mask, const Shape3& shape, const std::vector<Run>& ball) {
  switch (operation) {
    case BinaryOperation::dilation:
      return dilated(mask, shape, ball);
    case BinaryOperation::erosion:
      return eroded(mask, shape, ball);
    case BinaryOperation::closing:
      return eroded(dilated(mask, shape, ball), shape, ball);
    case BinaryOperation::opening:
      return dilated(eroded(mask, shape, ball), shape, ball);
  }
  return mask;
}

void apply_step(const BinaryStep& step, const Shape3& patch, std::span<std::uint8_t> masks) {
  const auto voxels = static_cast<std::size_t>(voxel_count(patch));
  const auto own = masks.subspan(step.channel * voxels, voxels);
  const Mask result = applied(step.operation, Mask(own.begin(), own.end()), patch, ball_runs(step.radius));
  for (std::size_t begin = 0; begin < masks.size(); begin += voxels) {
    if (begin == step.channel * voxels) continue;
    for (std::size_t i = 0; i < voxels; ++i)
      if (result[i] != 0 && own[i] == 0) masks[begin + i] = 0;
  }
  std::copy(result.begin(), result.end(), own.begin());
}

/// The voxels of the component that holds voxel `start`; they become 0 in `left`.
std::vector<std::size_t> component_at(std::size_t start, const Shape3& shape, Mask& left) {
  std::vector<std::size_t> component{start};
  left[start] = 0;
  for (std::size_t next = 0; next < component.size(); ++next) {
    const auto at = static_cast<std::int64_t>(component[next]);
    const std::int64_t z = at / (shape[1] * shape[2]), y = at / shape[2] % shape[1], x = at % shape[2];
    for (std::int64_t dz = -1; dz <= 1; ++dz)
      for (std::int64_t dy = -1; dy <= 1; ++dy)
        for (std::int64_t dx = -1; dx <= 1; ++dx) {
          const std::int64_t nz = z + dz, ny = y + dy, nx = x + dx;
          if (nz < 0 || ny < 0 || nx < 0 || nz >= shape[0] || ny >= shape[1] || nx >= shape[2]) continue;
          const auto neighbour = static_cast<std::size_t>((nz * shape[1] + ny) * shape[2] + nx);
          if (left[neighbour] == 0) continue;
          left[neighbour] = 0;
          component.push_back(neighbour);
        }
  }
  return component;
}

void apply_removal(const ComponentRemoval& removal, const Shape3& patch, std::span<std::uint8_t> masks) {
  const auto voxels = static_cast<std::size_t>(voxel_count(patch));
  const auto own = masks.subspan(removal.channel * voxels, voxels);
  Mask left(own.begin(), own.end());
  std::vector<std::vector<std::size_t>> small;
  for (std::size_t i = 0; i < voxels; ++i) {
    if (left[i] == 0) continue;
    std::vector<std::size_t> component = component_at(i, patch, left);
    if (static_cast<double>(component.size()) < kLargestRemoved * static_cast<double>(voxels))
      small.push_back(std::move(component));
  }
  if (small.empty()) return;
  const auto chosen = static_cast<std::size_t>(removal.choice * static_cast<double>(small.size()));
  for (const std::size_t voxel : small[std::min(chosen, small.size() - 1)]) own[voxel] = 0;
}

/// Channels in random order, each kept with probability kOfLabel.
std::vector<std::size_t> draw_channels(std::size_t channels, RandomStream& random) {
  std::vector<std::size_t> order(channels);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = channels; i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(i) - 1))]);
  std::erase_if(order, [&](std::size_t) { return random.uniform() >= kOfLabel; });
  return order;
}

}  // namespace

std::vector<std::uint8_t> one_hot(std::span<const std::int16_t> segmentation, std::span<const int> labels) {
  std::vector<std::uint8_t> masks;
  masks.reserve(segmentation.size() * labels.size());
  for (const int label : labels)
    for (const std::int16_t value : segmentation) masks.push_back(value == label ? 1 : 0);
  return masks;
}

CascadeAugmentation draw_cascade_augmentation(std::size_t channels, RandomStream& random) {
  constexpr BinaryOperation operations[] = {BinaryOperation::dilation, BinaryOperation::erosion,
                                            BinaryOperation::closing, BinaryOperation::opening};
  CascadeAugmentation drawn;
  if (random.uniform() < kBinaryOperation)
    for (const std::size_t channel : draw_channels(channels, random)) {
      const BinaryOperation operation = operations[static_cast<std::size_t>(random.integer(0, 3))];
      drawn.steps.push_back({channel, operation, random.uniform(kSmallestRadius, kLargestRadius)});
    }
  if (random.uniform() < kRemoval)
    for (const std::size_t channel : draw_channels(channels, random))
      drawn.removals.push_back({channel, random.uniform()});
  return drawn;
}

void augment_masks(const CascadeAugmentation& augmentation, const Shape3& patch, std::span<std::uint8_t> masks) {
  for (const BinaryStep& step : augmentation.steps) apply_step(step, patch, masks);
  for (const ComponentRemoval& removal : augmentation.removals) apply_removal(removal, patch, masks);
}

}  // namespace m3d
