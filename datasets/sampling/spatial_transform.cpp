#include "datasets/sampling/spatial_transform.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "datasets/numerics/vector_clones.h"

namespace m3d {
namespace {

Matrix3 product(const Matrix3& a, const Matrix3& b) {
  Matrix3 result{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      for (std::size_t k = 0; k < 3; ++k) result[3 * i + j] += a[3 * i + k] * b[3 * k + j];
  return result;
}

/// The axis keeps its coordinates: slices of a dummy-2D patch stay whole.
bool untouched(const SpatialGrid& grid, std::size_t axis) {
  for (std::size_t k = 0; k < 3; ++k)
    if (grid.matrix[3 * axis + k] != (k == axis ? 1.0 : 0.0)) return false;
  return grid.patch[axis] == grid.loader_patch[axis];
}

/// How one axis of a row's coordinates follows from x. All in float32, as grid_sample computes it.
struct AxisMap {
  float start = 0, step = 0;      // centred coordinate: start + step * centred x
  float half_size = 0, size = 0;  // of the loader's patch: coordinates go through [-1, 1]
  float lowest = 0, highest = 0;  // of the padded source's lower corners, in the loader's patch
  std::int32_t stride = 0;
  bool whole = false;  // coordinates are whole numbers
};

/// Adds an axis to the row's indices into the padded source and writes how far above the lower voxel each sample lies.
M3D_VECTOR_CLONES void place_axis(const AxisMap& axis, float first, std::size_t count, std::int32_t* index,
                                  float* fraction) {
  for (std::size_t i = 0; i < count; ++i) {
    const float centred = axis.start + axis.step * (first + static_cast<float>(static_cast<std::int32_t>(i)));
    const float position = ((centred / axis.half_size + 1) * axis.size - 1) * 0.5F;
    const float exact = axis.whole ? std::nearbyint(position) : position;
    const float raised = exact > axis.lowest ? exact : axis.lowest;
    const float inside = raised < axis.highest ? raised : axis.highest;
    const float lower = std::floor(inside);
    fraction[i] = inside - lower;
    index[i] += static_cast<std::int32_t>(lower - axis.lowest) * axis.stride;
  }
}

M3D_VECTOR_CLONES void sample_row(const float* source, const std::int32_t* index, const float* fz, const float* fy,
                                  const float* fx, std::size_t count, std::int32_t row, std::int32_t plane,
                                  float* target) {
  for (std::size_t i = 0; i < count; ++i) {
    const float* near = source + index[i];
    const float* far = near + plane;
    const float near_lower = near[0] + (near[1] - near[0]) * fx[i];
    const float near_upper = near[row] + (near[row + 1] - near[row]) * fx[i];
    const float far_lower = far[0] + (far[1] - far[0]) * fx[i];
    const float far_upper = far[row] + (far[row + 1] - far[row]) * fx[i];
    const float close = near_lower + (near_upper - near_lower) * fy[i];
    const float distant = far_lower + (far_upper - far_lower) * fy[i];
    target[i] = close + (distant - close) * fz[i];
  }
}

/// What a float16 holds of a value of 1 to 1000.
float rounded_to_half(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  bits += 0x0fff + ((bits >> 13) & 1);
  return std::bit_cast<float>(bits & ~0x1fffU);
}

/// The winner among the labels of eight corners (bit 0: upper x, 1: upper y, 2: upper z). Scores are 1000 times the
/// weights, rounded to float16 as the original keeps them: that makes near ties exact ones.
std::int16_t winner(const std::array<std::int16_t, 8>& corners, const std::array<float, 3>& fraction,
                    std::size_t nearest) {
  std::array<std::int16_t, 8> labels{};
  std::array<float, 8> scores{};
  std::size_t known = 0;
  for (std::size_t corner = 0; corner < 8; ++corner) {
    const float weight = ((corner & 1) != 0 ? fraction[2] : 1 - fraction[2]) *
                         ((corner & 2) != 0 ? fraction[1] : 1 - fraction[1]) *
                         ((corner & 4) != 0 ? fraction[0] : 1 - fraction[0]);
    std::size_t place = 0;
    while (place < known && labels[place] != corners[corner]) ++place;
    if (place == known) labels[known++] = corners[corner];
    scores[place] += 1000 * weight;
  }
  std::size_t best = 0, close = 0;
  for (std::size_t i = 0; i < known; ++i) {
    scores[i] = rounded_to_half(scores[i]);
    if (scores[i] > scores[best] || (scores[i] == scores[best] && labels[i] < labels[best])) best = i;
    if (labels[i] == corners[nearest]) close = i;
  }
  return scores[close] == scores[best] ? labels[close] : labels[best];
}

/// Two neighbours at once.
inline std::uint32_t pair_at(const std::int16_t* labels) {
  std::uint32_t pair = 0;
  std::memcpy(&pair, labels, sizeof pair);
  return pair;
}

/// One row of samples after the other: `use(row, z, y)` sees the indices and fractions.
class RowSampler {
 public:
  RowSampler(const SpatialGrid& grid, const PaddedBox& box)
      : grid_(grid), box_(box), width_(static_cast<std::size_t>(grid.patch[2])), index_(width_) {
    const Shape3 padded = box.padded();
    const std::int64_t strides[3] = {padded[1] * padded[2], padded[2], 1};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      fraction_[axis].resize(width_);
      AxisMap& map = axes_[axis];
      map.step = static_cast<float>(grid.matrix[3 * axis + 2]);
      map.size = static_cast<float>(grid.loader_patch[axis]);
      map.half_size = map.size / 2;
      map.lowest = static_cast<float>(box.begin[axis] - PaddedBox::kBefore);
      map.highest = static_cast<float>(box.begin[axis] + box.size[axis]);
      map.stride = static_cast<std::int32_t>(strides[axis]);
      map.whole = untouched(grid, axis);
    }
    row_stride_ = static_cast<std::int32_t>(strides[1]);
    // Where slices stay whole their upper neighbours have no weight; they need not be read.
    plane_stride_ = axes_[0].whole ? 0 : static_cast<std::int32_t>(strides[0]);
  }

  template <class Use>
  void each_row(const Use& use) {
    for (std::int64_t z = 0; z < grid_.patch[0]; ++z)
      for (std::int64_t y = 0; y < grid_.patch[1]; ++y) {
        place(z, y);
        use(static_cast<std::size_t>((z * grid_.patch[1] + y) * grid_.patch[2]));
      }
  }

  void sample(const float* source, float* target) const {
    sample_row(source, index_.data(), fraction_[0].data(), fraction_[1].data(), fraction_[2].data(), width_,
               row_stride_, plane_stride_, target);
  }

  void sample(const std::int16_t* source, std::int16_t* target) const {
    for (std::size_t i = 0; i < width_; ++i) {
      const std::int16_t* at = source + index_[i];
      const std::array<std::uint32_t, 4> pairs = {pair_at(at), pair_at(at + row_stride_), pair_at(at + plane_stride_),
                                                  pair_at(at + plane_stride_ + row_stride_)};
      const std::uint32_t first = static_cast<std::uint16_t>(at[0]) * 0x10001U;  // the first label twice
      if (((pairs[0] ^ first) | (pairs[1] ^ first) | (pairs[2] ^ first) | (pairs[3] ^ first)) == 0)
        target[i] = at[0];
      else
        target[i] = winner(std::bit_cast<std::array<std::int16_t, 8>>(pairs),
                           {fraction_[0][i], fraction_[1][i], fraction_[2][i]}, nearest_corner(i));
    }
  }

 private:
  void place(std::int64_t z, std::int64_t y) {
    const auto centred = [&](std::size_t axis, std::int64_t i) {
      return static_cast<float>(i) - static_cast<float>(grid_.patch[axis] - 1) / 2;
    };
    std::fill(index_.begin(), index_.end(), 0);
    for (std::size_t axis = 0; axis < 3; ++axis) {
      axes_[axis].start = centred(0, z) * static_cast<float>(grid_.matrix[3 * axis]) +
                          centred(1, y) * static_cast<float>(grid_.matrix[3 * axis + 1]);
      place_axis(axes_[axis], centred(2, 0), width_, index_.data(), fraction_[axis].data());
    }
  }

  /// A half goes to the even voxel of the loader's patch.
  std::size_t nearest_corner(std::size_t i) const {
    const Shape3 padded = box_.padded();
    const std::int64_t index = index_[i];
    const Shape3 lower = {index / padded[2] / padded[1], index / padded[2] % padded[1], index % padded[2]};
    std::size_t corner = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const bool odd = (lower[axis] - PaddedBox::kBefore + box_.begin[axis]) % 2 != 0;
      const float fraction = fraction_[axis][i];
      if (fraction > 0.5F || (fraction == 0.5F && odd)) corner += std::size_t{4} >> axis;
    }
    return corner;
  }

  const SpatialGrid& grid_;
  const PaddedBox& box_;
  std::size_t width_;
  std::array<AxisMap, 3> axes_;
  std::int32_t row_stride_ = 0, plane_stride_ = 0;
  std::vector<std::int32_t> index_;
  std::array<std::vector<float>, 3> fraction_;
};

}  // namespace

Matrix3 spatial_matrix(const std::array<double, 3>& angles, const std::array<double, 3>& scales) {
  const auto [ax, ay, az] = angles;
  const Matrix3 rx = {1, 0, 0, 0, std::cos(ax), -std::sin(ax), 0, std::sin(ax), std::cos(ax)};
  const Matrix3 ry = {std::cos(ay), 0, std::sin(ay), 0, 1, 0, -std::sin(ay), 0, std::cos(ay)};
  const Matrix3 rz = {std::cos(az), -std::sin(az), 0, std::sin(az), std::cos(az), 0, 0, 0, 1};
  const Matrix3 scaling = {scales[0], 0, 0, 0, scales[1], 0, 0, 0, scales[2]};
  return product(product(product(rz, ry), rx), scaling);
}

Matrix3 planar_matrix(double angle, double scale) {
  const double cosine = std::cos(angle) * scale, sine = std::sin(angle) * scale;
  return {1, 0, 0, 0, cosine, -sine, 0, sine, cosine};
}

SourceBox source_box(const SpatialGrid& grid) {
  SourceBox box;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    double reach = 0;  // of a corner of the patch from the centre
    for (std::size_t k = 0; k < 3; ++k)
      reach += std::abs(grid.matrix[3 * axis + k]) * static_cast<double>(grid.patch[k] - 1) / 2;
    const double centre = static_cast<double>(grid.loader_patch[axis] - 1) / 2;
    constexpr double kRounding = 1e-3;  // float32 coordinates
    const auto lowest = static_cast<std::int64_t>(std::floor(centre - reach - kRounding));
    const auto highest = static_cast<std::int64_t>(std::floor(centre + reach + kRounding)) + 2;
    box.begin[axis] = std::clamp<std::int64_t>(lowest, 0, grid.loader_patch[axis]);
    box.end[axis] = std::clamp<std::int64_t>(highest, box.begin[axis], grid.loader_patch[axis]);
  }
  return box;
}

void sample_patch(const SpatialGrid& grid, const PaddedBox& box, std::span<const float> image,
                  std::span<const std::int16_t> labels, std::span<float> image_target,
                  std::span<std::int16_t> labels_target) {
  const auto given = static_cast<std::size_t>(voxel_count(box.padded()));
  const auto wanted = static_cast<std::size_t>(voxel_count(grid.patch));
  RowSampler rows(grid, box);
  rows.each_row([&](std::size_t offset) {
    for (std::size_t c = 0; c * wanted < image_target.size(); ++c)
      rows.sample(image.data() + c * given, image_target.data() + c * wanted + offset);
    rows.sample(labels.data(), labels_target.data() + offset);
  });
}

}  // namespace m3d
