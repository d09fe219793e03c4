#pragma once
// The inner loop of the weighted mean of tiles on the CPU. No torch here: compiled with its own options. Internal to
// this room.
#include <cstdint>

namespace m3d {

/// One plane [height, width] of one class of a tile, and where it belongs. The weight of a voxel is depth_share *
/// row_shares[y] * column_shares[x].
template <class T>
struct TilePlane {
  const T* logits;      // dense
  T* means;             // of the plane's first voxel
  std::int64_t stride;  // between rows of means
  std::int64_t height, width;
  double depth_share;
  const double* row_shares;
  const T* column_shares;
  std::int64_t known_rows, known_columns;  // earlier tiles hold the first rows, and of the others the first voxels
};

/// means = weight * logits, added to what earlier tiles left. The same bits with every instruction set.
void add_plane(const TilePlane<float>& plane);
void add_plane(const TilePlane<double>& plane);

}  // namespace m3d
