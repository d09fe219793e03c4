#pragma once
// Loops over rows of labels and masks, in copies for several instruction sets. Internal to this room.
#include <cstdint>
#include <vector>

namespace m3d {

/// The first place after `x` (or `width`) where one of both rows is not what it is at `x`.
std::int64_t run_end(const std::int16_t* a, const std::int16_t* b, std::int64_t x, std::int64_t width);

/// mask[x] = 1 where labels[x] is one of `values`, else 0.
void mark_members(const std::int16_t* labels, std::int64_t width, const std::vector<int>& values, std::uint8_t* mask);

/// surface[x] = 1 where mask[x] is 1 and one of its six neighbours 0, else 0. `mask` (of zeros and ones) has voxels on
/// all sides of the row: `row` and `plane` are the distances to its neighbours along y and z.
void mark_surface(const std::uint8_t* mask, std::int64_t width, std::int64_t row, std::int64_t plane,
                  std::uint8_t* surface);

}  // namespace m3d
