#include "datasets/preprocessing/crop.h"

#include <algorithm>

namespace m3d {
namespace {

constexpr std::uint8_t kZero = 0, kInside = 1, kOutside = 2;

/// Marks the zeros of `mask` that connect over faces to the volume's border, a run of a row at a time: what waits are
/// runs, which volumes of any size have few of.
class OutsideFlood {
 public:
  OutsideFlood(std::vector<std::uint8_t>& mask, const Shape3& shape) : mask_(mask), shape_(shape) {}

  void run() {
    const auto [depth, height, width] = shape_;
    for (std::int64_t z = 0; z < depth; ++z)
      for (std::int64_t y = 0; y < height; ++y) {
        const bool edge = z == 0 || z == depth - 1 || y == 0 || y == height - 1;
        const std::int64_t first = (z * height + y) * width, last = first + width - 1;
        if (edge) seed(first, last);
        seed(first, first);
        seed(last, last);
        flood();
      }
  }

 private:
  std::uint8_t& at(std::int64_t index) { return mask_[static_cast<std::size_t>(index)]; }

  /// One voxel of each run of zeros from `first` to `last`.
  void seed(std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i <= last; ++i)
      if (at(i) == kZero && (i == first || at(i - 1) != kZero)) pending_.push_back(i);
  }

  void flood() {
    const std::int64_t width = shape_[2], plane = shape_[1] * width, voxels = shape_[0] * plane;
    while (!pending_.empty()) {
      const std::int64_t index = pending_.back();
      pending_.pop_back();
      if (at(index) != kZero) continue;
      const std::int64_t row = index - index % width;
      std::int64_t first = index, last = index;
      while (first > row && at(first - 1) == kZero) --first;
      while (last + 1 < row + width && at(last + 1) == kZero) ++last;
      std::fill(mask_.begin() + first, mask_.begin() + last + 1, kOutside);
      const std::int64_t y = row / width % shape_[1];
      if (y > 0) seed(first - width, last - width);
      if (y + 1 < shape_[1]) seed(first + width, last + width);
      if (row >= plane) seed(first - plane, last - plane);
      if (row + plane < voxels) seed(first + plane, last + plane);
    }
  }

  std::vector<std::uint8_t>& mask_;
  Shape3 shape_;
  std::vector<std::int64_t> pending_;
};

}  // namespace

std::vector<std::uint8_t> nonzero_mask(const std::vector<ImageF>& channels) {
  std::vector<std::uint8_t> mask(channels.front().voxels.size(), kZero);
  for (const auto& channel : channels)
    for (std::size_t i = 0; i < mask.size(); ++i) mask[i] |= channel.voxels[i] != 0.0F ? kInside : kZero;
  OutsideFlood(mask, channels.front().shape()).run();
  for (auto& voxel : mask) voxel = voxel == kOutside ? 0 : 1;
  return mask;
}

Box bounding_box(const std::vector<std::uint8_t>& mask, const Shape3& shape) {
  Box box{shape, {0, 0, 0}};
  for (std::int64_t z = 0; z < shape[0]; ++z)
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      const auto row = mask.begin() + (z * shape[1] + y) * shape[2];
      const auto first = std::find(row, row + shape[2], 1);
      if (first == row + shape[2]) continue;
      const auto last = std::find(std::make_reverse_iterator(row + shape[2]), std::make_reverse_iterator(row), 1);
      const Shape3 low{z, y, first - row}, high{z + 1, y + 1, last.base() - row};
      for (std::size_t axis = 0; axis < 3; ++axis) {
        box.begin[axis] = std::min(box.begin[axis], low[axis]);
        box.end[axis] = std::max(box.end[axis], high[axis]);
      }
    }
  return box.end[0] == 0 ? Box{{0, 0, 0}, shape} : box;
}

}  // namespace m3d
