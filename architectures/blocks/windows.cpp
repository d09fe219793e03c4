#include "architectures/blocks/windows.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>

namespace m3d {
namespace {

constexpr double kMasked = -100;

Grid halved(const Grid& grid) { return {grid[0] / 2, grid[1] / 2, grid[2] / 2}; }

/// Position in the padded, unshifted grid of every token of every window, in the windows' order.
std::vector<std::int64_t> window_order(const Windows& windows) {
  const Grid &size = windows.size, &padded = windows.padded, &shift = windows.shift, counts = windows.counts();
  std::vector<std::int64_t> order;
  order.reserve(static_cast<std::size_t>(voxels(padded)));
  const std::int64_t tokens = voxels(size);
  for (std::int64_t window = 0; window < voxels(counts); ++window)
    for (std::int64_t token = 0; token < tokens; ++token) {
      const Grid corner{window / (counts[1] * counts[2]), window / counts[2] % counts[1], window % counts[2]};
      const Grid inside{token / (size[1] * size[2]), token / size[2] % size[1], token % size[2]};
      std::int64_t position = 0;
      for (int axis = 0; axis < 3; ++axis)
        position = position * padded[axis] + (corner[axis] * size[axis] + inside[axis] + shift[axis]) % padded[axis];
      order.push_back(position);
    }
  return order;
}

/// On `device`, kept for the life of the process: blocks of one grid share it.
const TokenPermutation& window_permutation(const Windows& windows, const torch::Device& device) {
  using Key = std::tuple<Grid, Grid, Grid, std::string>;
  static std::map<Key, TokenPermutation> known;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  auto& entry = known[Key{windows.size, windows.shift, windows.padded, device.str()}];
  if (!entry.forward.defined()) {
    const auto order = torch::tensor(window_order(windows), torch::kLong);
    const auto inverse = torch::empty_like(order).scatter_(0, order, torch::arange(order.numel()));
    entry = {order.to(device), inverse.to(device)};
  }
  return entry;
}

/// [N]: 0 for tokens before the seam of every axis in `axes`; tokens with different values are no neighbours.
torch::Tensor regions(const Windows& windows, unsigned axes, const torch::TensorOptions& options) {
  auto region = torch::zeros(windows.size, options);
  for (int axis = 0; axis < 3; ++axis) {
    if (!(axes >> axis & 1)) continue;
    const std::int64_t seam = windows.size[axis] - windows.shift[axis];
    region.narrow(axis, seam, windows.shift[axis]).add_(static_cast<double>(1 << axis));
  }
  return region.flatten();
}

torch::Tensor between_regions(const torch::Tensor& region) {
  return region.unsqueeze(0).ne(region.unsqueeze(1)).to(region.dtype()).mul_(kMasked);
}

}  // namespace

Windows fit_windows(const WindowRule& rule, const Grid& grid) {
  Windows windows{rule.size, rule.shifted ? halved(rule.size) : Grid{}, {}};
  const auto first_axis = grid.begin() + (3 - rule.dimensions);
  const std::int64_t shortest = *std::min_element(first_axis, grid.end());
  if (rule.fit == WindowFit::shrink && shortest <= windows.size[2]) {
    std::fill(windows.size.begin() + (3 - rule.dimensions), windows.size.end(), shortest);
    windows.shift = {};
  }
  if (rule.fit == WindowFit::clamp)
    for (int axis = 0; axis < 3; ++axis)
      if (grid[axis] <= windows.size[axis]) windows.size[axis] = grid[axis], windows.shift[axis] = 0;
  if (rule.fit == WindowFit::keep && (grid == windows.size || voxels(windows.shift) == 0)) windows.shift = {};
  for (int axis = 0; axis < 3; ++axis)
    windows.padded[axis] = (grid[axis] + windows.size[axis] - 1) / windows.size[axis] * windows.size[axis];
  return windows;
}

torch::Tensor cut_windows(const torch::Tensor& tokens, const Grid& grid, const Windows& windows) {
  auto padded = tokens;
  if (windows.padded != grid) {
    const auto volume = tokens.unflatten(1, torch::IntArrayRef(grid));
    const auto missing = [&](int axis) { return windows.padded[axis] - grid[axis]; };
    padded = torch::constant_pad_nd(volume, {0, 0, 0, missing(2), 0, missing(1), 0, missing(0)}).flatten(1, 3);
  }
  const auto cut = gather_tokens(padded, window_permutation(windows, tokens.device()));
  return cut.view({-1, voxels(windows.size), tokens.size(2)});
}

torch::Tensor join_windows(const torch::Tensor& cut, const Grid& grid, const Windows& windows) {
  const auto& permutation = window_permutation(windows, cut.device());
  const auto padded = gather_tokens(cut.reshape({-1, voxels(windows.padded), cut.size(2)}), permutation.inverted());
  if (windows.padded == grid) return padded;
  auto volume = padded.unflatten(1, torch::IntArrayRef(windows.padded));
  for (int axis = 0; axis < 3; ++axis) volume = volume.narrow(axis + 1, 0, grid[axis]);
  return volume.flatten(1, 3);
}

std::vector<WindowMask> shift_masks(const Windows& windows, const torch::TensorOptions& options) {
  std::vector<WindowMask> masks;
  const Grid counts = windows.counts();
  // Every set of axes along which a window is the last one.
  for (unsigned axes = 1; axes < 8; ++axes) {
    WindowMask mask{{}, counts, {}};
    bool exists = true;
    for (int axis = 0; axis < 3; ++axis) {
      const bool last = axes >> axis & 1;
      exists = exists && !(last && windows.shift[axis] == 0);
      if (windows.shift[axis] == 0) continue;
      mask.first[axis] = last ? counts[axis] - 1 : 0;
      mask.counts[axis] = last ? 1 : counts[axis] - 1;
    }
    if (!exists || voxels(mask.counts) == 0) continue;
    mask.values = between_regions(regions(windows, axes, options));
    masks.push_back(mask);
  }
  return masks;
}

torch::Tensor full_shift_mask(const Windows& windows, const torch::TensorOptions& options) {
  const Grid counts = windows.counts();
  const std::int64_t tokens = voxels(windows.size);
  auto full = torch::zeros({counts[0], counts[1], counts[2], tokens, tokens}, options);
  for (const auto& mask : shift_masks(windows, options)) {
    auto part = full;
    for (int axis = 0; axis < 3; ++axis) part = part.narrow(axis, mask.first[axis], mask.counts[axis]);
    part.copy_(mask.values);
  }
  return full.flatten(0, 2);
}

}  // namespace m3d
