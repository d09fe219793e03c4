#include "datasets/crop.h"

#include <algorithm>

namespace m3d {
namespace {

constexpr std::uint8_t kZero = 0, kInside = 1, kOutside = 2;

/// Marks the zeros of `mask` that connect over faces to the volume's border.
class OutsideFlood {
 public:
  OutsideFlood(std::vector<std::uint8_t>& mask, const Shape3& shape) : mask_(mask), shape_(shape) {}

  void run() {
    const auto [depth, height, width] = shape_;
    for (std::int64_t z = 0; z < depth; ++z)
      for (std::int64_t y = 0; y < height; ++y) {
        const bool edge = z == 0 || z == depth - 1 || y == 0 || y == height - 1;
        const std::int64_t step = edge ? 1 : std::max<std::int64_t>(width - 1, 1);
        for (std::int64_t x = 0; x < width; x += step) visit((z * height + y) * width + x);
      }
    while (!pending_.empty()) {
      const std::int64_t index = pending_.back();
      pending_.pop_back();
      visit_neighbours(index);
    }
  }

 private:
  void visit(std::int64_t index) {
    std::uint8_t& voxel = mask_[static_cast<std::size_t>(index)];
    if (voxel != kZero) return;
    voxel = kOutside;
    pending_.push_back(index);
  }

  void visit_neighbours(std::int64_t index) {
    const auto [depth, height, width] = shape_;
    const std::int64_t x = index % width, y = index / width % height, z = index / width / height;
    if (x > 0) visit(index - 1);
    if (x + 1 < width) visit(index + 1);
    if (y > 0) visit(index - width);
    if (y + 1 < height) visit(index + width);
    if (z > 0) visit(index - width * height);
    if (z + 1 < depth) visit(index + width * height);
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
