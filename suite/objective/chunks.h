#pragma once
// How the fused losses cut a batch: in chunks of fixed size, summed in their order, so that the number of threads never
// changes a bit.
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace m3d {

inline constexpr std::int64_t kChunk = 4096;  // voxels that are visited together; part of the result's bits

/// Sizes of [B, K, N] and how its voxels are cut into chunks.
struct Layout {
  std::int64_t batch, classes, voxels;
  std::int64_t chunks_per_sample() const { return (voxels + kChunk - 1) / kChunk; }
  std::int64_t chunks() const { return batch * chunks_per_sample(); }
};

/// One chunk: sample, first voxel and number of voxels.
struct Chunk {
  std::int64_t sample, begin, size;
};

inline Chunk chunk_at(const Layout& layout, std::int64_t index) {
  const std::int64_t begin = index % layout.chunks_per_sample() * kChunk;
  return {index / layout.chunks_per_sample(), begin, std::min(kChunk, layout.voxels - begin)};
}

inline Layout layout_of(const at::Tensor& logits) { return {logits.size(0), logits.size(1), logits.size(2)}; }

/// value(0) + … + value(size - 1) in a fixed order that the compiler can vectorise.
template <class Value>
double sum_of_each(std::int64_t size, const Value& value) {
  std::array<double, 8> lanes{};
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8)
    for (std::int64_t lane = 0; lane < 8; ++lane)
      lanes[static_cast<std::size_t>(lane)] += static_cast<double>(value(i + lane));
  for (; i < size; ++i) lanes[0] += static_cast<double>(value(i));
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace m3d
