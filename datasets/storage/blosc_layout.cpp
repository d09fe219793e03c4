// nnunetv2 2.8.1, training/dataloading/nnunet_dataset.py (comp_blosc2_params).
#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <tuple>

#include "datasets/storage/blosc_array.h"

namespace m3d {
namespace {

using Sizes = std::array<std::int64_t, 3>;

constexpr std::int64_t kLargestBlock = 128 << 10, kLargestChunk = 6 << 20;
constexpr double kChunkToPatch = 1.5;

std::int64_t bytes_of(const Sizes& sizes, std::int64_t bytes_per_value) {
  return sizes[0] * sizes[1] * sizes[2] * bytes_per_value;
}

double share(const Sizes& sizes, const Sizes& wanted, std::size_t axis) {
  return static_cast<double>(sizes[axis]) / static_cast<double>(wanted[axis]);
}

/// The largest power of two below n; 1 for 1.
std::int64_t power_below(std::int64_t n) {
  return n <= 1 ? 1 : static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(n - 1)));
}

/// Powers of two that hold the patch, halved along the axis that is too long for its share until they fit.
Sizes block_of(const Sizes& image, const Sizes& patch, const Sizes& wanted, std::int64_t bytes_per_value) {
  Sizes block{};
  for (std::size_t axis = 0; axis < 3; ++axis)
    block[axis] =
        std::min(static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(patch[axis]))), image[axis]);
  while (bytes_of(block, bytes_per_value) > kLargestBlock) {
    std::size_t longest = 3;
    for (std::size_t axis = 0; axis < 3; ++axis)
      if (block[axis] > 1 && (longest == 3 || share(block, wanted, axis) >= share(block, wanted, longest)))
        longest = axis;
    block[longest] = power_below(block[longest]);
  }
  return block;
}

/// Grown block by block along the axis that covers the least of its share.
Sizes chunk_of(const Sizes& image, const Sizes& patch, const Sizes& wanted, const Sizes& block,
               std::int64_t bytes_per_value) {
  Sizes chunk = block;
  while (true) {
    using Candidate = std::tuple<double, std::int64_t, std::size_t, Sizes>;
    std::optional<Candidate> best;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      if (patch[axis] == 1 || chunk[axis] >= wanted[axis]) continue;
      Sizes grown = chunk;
      grown[axis] = std::min(chunk[axis] + block[axis], wanted[axis]);
      if (bytes_of(grown, bytes_per_value) > kLargestChunk) continue;
      const Candidate candidate{share(chunk, wanted, axis), -image[axis], axis, grown};
      if (!best || candidate < *best) best = candidate;
    }
    if (!best) return chunk;
    chunk = std::get<Sizes>(*best);
  }
}

}  // namespace

BloscLayout blosc_layout(const Shape4& shape, const Sizes& patch, std::int64_t bytes_per_value) {
  const Sizes image{shape[1], shape[2], shape[3]};
  Sizes wanted{};
  for (std::size_t axis = 0; axis < 3; ++axis)
    wanted[axis] = std::max<std::int64_t>(
        1,
        std::min(image[axis], static_cast<std::int64_t>(std::floor(kChunkToPatch * static_cast<double>(patch[axis])))));
  const Sizes block = block_of(image, patch, wanted, bytes_per_value);
  const Sizes chunk = chunk_of(image, patch, wanted, block, bytes_per_value);
  return {{1, chunk[0], chunk[1], chunk[2]}, {1, block[0], block[1], block[2]}};
}

}  // namespace m3d
