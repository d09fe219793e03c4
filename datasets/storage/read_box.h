#pragma once
// A box of a .b2nd file put where a patch wants it. Internal to this room.
#include <algorithm>
#include <memory>
#include <type_traits>

#include "datasets/sampling/patch_source.h"
#include "datasets/storage/blosc_array.h"

namespace m3d {

/// Copies the box of `size` voxels at `begin`, of every channel of `array`, whose values are of the type Stored, to
/// `output` [C, target.shape] at target.offset. Throws RunError where the file is damaged.
template <class Stored, class T>
void read_box(const BloscArray& array, const Shape3& begin, const Shape3& size, const PatchTarget& target, T* output) {
  const Shape4 from{0, begin[0], begin[1], begin[2]}, box{array.shape()[0], size[0], size[1], size[2]};
  const auto& [depth, height, width] = target.shape;
  T* first = output + (target.offset[0] * height + target.offset[1]) * width + target.offset[2];
  if (std::is_same_v<Stored, T> && size == target.shape) return array.read(from, box, first);
  const auto values = std::make_unique_for_overwrite<Stored[]>(static_cast<std::size_t>(box[0] * voxel_count(size)));
  array.read(from, box, values.get());
  const Stored* next = values.get();
  for (std::int64_t c = 0; c < box[0]; ++c)
    for (std::int64_t z = 0; z < size[0]; ++z)
      for (std::int64_t y = 0; y < size[1]; ++y, next += size[2])
        std::copy(next, next + size[2], first + ((c * depth + z) * height + y) * width);
}

}  // namespace m3d
