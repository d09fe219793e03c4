#pragma once
// The weighted mean of overlapping tiles, added up tile by tile. Weights are products of one profile an axis, and tiles
// lie on a grid, so that a tile's share in the mean of a voxel is a product of three numbers known beforehand: nothing
// is divided afterwards, and no volume of weights is kept. Internal to this room.
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "datasets/images/image.h"

namespace m3d {

/// The tiles along one axis.
struct AxisTiles {
  /// `profile`: the weights of a tile's voxels along the axis.
  AxisTiles(std::vector<std::int64_t> starts_, std::vector<double> profile, std::int64_t size);
  std::vector<std::int64_t> starts;
  /// [tile][voxel]: the weight over the sum of the weights of all tiles at that voxel.
  std::vector<std::vector<double>> shares;
  std::int64_t patch = 0;
  /// Where the voxels begin that no tile before `tile` holds.
  std::int64_t reached_before(std::size_t tile) const { return tile == 0 ? 0 : starts[tile - 1] + patch; }
};

using TileIndex = std::array<std::size_t, 3>;

/// Adds a tile's logits [K, d, h, w] to `means` [K, planes, H, W], whose first plane is plane `first_plane` of the
/// canvas. Tiles must come in the order of their index, the last axis fastest: the first one that holds a voxel
/// overwrites what is there. Both float32 or both float64, on one device; `means` has dense rows.
void add_tile(const at::Tensor& means, std::int64_t first_plane, const at::Tensor& logits,
              const std::array<AxisTiles, 3>& axes, const TileIndex& tile);

}  // namespace m3d
