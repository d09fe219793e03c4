#include "suite/infer/tile_rows.h"

#include "datasets/numerics/vector_clones.h"

namespace m3d {
namespace {

// Rows are short and far apart: no processor foresees where the next ones lie.
constexpr std::int64_t kRowsAhead = 8;

template <class T>
[[gnu::always_inline]] inline void prefetch_row(const T* row, std::int64_t width) {
  constexpr std::int64_t line = 64 / sizeof(T);
  for (std::int64_t x = 0; x < width; x += line) __builtin_prefetch(row + x, 1);
}

template <class T>
[[gnu::always_inline]] inline void add_rows(const TilePlane<T>& plane) {
  for (std::int64_t y = 0; y < plane.height; ++y) {
    if (y + kRowsAhead < plane.height) prefetch_row(plane.means + (y + kRowsAhead) * plane.stride, plane.width);
    T* __restrict__ const means = plane.means + y * plane.stride;
    const T* __restrict__ const logits = plane.logits + y * plane.width;
    const T* __restrict__ const shares = plane.column_shares;
    const T row_share = static_cast<T>(plane.depth_share * plane.row_shares[y]);
    const std::int64_t known = y < plane.known_rows ? plane.width : plane.known_columns;
    for (std::int64_t x = 0; x < known; ++x) means[x] += row_share * shares[x] * logits[x];
    for (std::int64_t x = known; x < plane.width; ++x) means[x] = row_share * shares[x] * logits[x];
  }
}

}  // namespace

M3D_VECTOR_CLONES void add_plane(const TilePlane<float>& plane) { add_rows(plane); }
M3D_VECTOR_CLONES void add_plane(const TilePlane<double>& plane) { add_rows(plane); }

}  // namespace m3d
