#include "datasets/images/label_surface.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "datasets/preprocessing/crop.h"

namespace m3d {
namespace {

/// The smoothed mask counts 64ths, so that it is exact.
constexpr std::uint8_t kWhole = 64, kHalf = 32;
/// How far a voxel is kept from one half: closer ones would make needles of triangles.
constexpr std::uint8_t kMargin = 8;
/// A corner of a cube and a step to one are bits: 1 along x, 2 along y, 4 along z.
constexpr unsigned kCorners = 8;

struct Field {
  Shape3 shape;
  std::vector<std::uint8_t> values;
};

/// The box's mask within one empty voxel on every side, so that the surface closes at the image's border too.
Field padded(const std::vector<std::uint8_t>& mask, const Shape3& shape, const Box& box) {
  const Shape3 inner = box.shape();
  Field field{{inner[0] + 2, inner[1] + 2, inner[2] + 2}, {}};
  field.values.resize(static_cast<std::size_t>(voxel_count(field.shape)));
  const std::vector<std::uint8_t> kept = cropped(mask, shape, box);
  for (std::int64_t row = 0; row < inner[0] * inner[1]; ++row) {
    const std::int64_t z = row / inner[1] + 1, y = row % inner[1] + 1;
    std::copy_n(kept.begin() + row * inner[2], inner[2],
                field.values.begin() + (z * field.shape[1] + y) * field.shape[2] + 1);
  }
  return field;
}

/// [1 2 1] along the axis whose neighbours are `stride` apart; zero beyond the volume, whose border is empty.
void sum_neighbours(std::vector<std::uint8_t>& values, std::size_t stride) {
  const std::vector<std::uint8_t> old = values;
  for (std::size_t i = 0; i < old.size(); ++i) {
    const int before = i >= stride ? old[i - stride] : 0, after = i + stride < old.size() ? old[i + stride] : 0;
    values[i] = static_cast<std::uint8_t>(before + 2 * old[i] + after);
  }
}

/// The smoothed mask, at least kMargin above one half within the mask and below it elsewhere.
Field smoothed(Field field) {
  const std::vector<std::uint8_t> mask = field.values;
  const auto row = static_cast<std::size_t>(field.shape[2]);
  for (const std::size_t stride : {std::size_t{1}, row, row * static_cast<std::size_t>(field.shape[1])})
    sum_neighbours(field.values, stride);
  for (std::size_t i = 0; i < mask.size(); ++i)
    field.values[i] = mask[i] ? std::clamp<std::uint8_t>(field.values[i], kHalf + kMargin, kWhole)
                              : std::min<std::uint8_t>(field.values[i], kHalf - kMargin);
  return field;
}

/// The corners of a tetrahedron; `positive` where the last three, seen from the first, run counter-clockwise from
/// outside.
struct Tetrahedron {
  std::array<unsigned, 4> corners;
  bool positive;
};

/// One for each order in which a path may step along the three axes from a cube's first corner to its last.
std::vector<Tetrahedron> tetrahedra_of_cube() {
  std::vector<Tetrahedron> tetrahedra;
  std::array<unsigned, 3> axes = {0, 1, 2};
  do {
    const unsigned first = 1u << axes[0], second = first | 1u << axes[1];
    const int exchanges = (axes[0] > axes[1]) + (axes[0] > axes[2]) + (axes[1] > axes[2]);
    tetrahedra.push_back({{0, first, second, kCorners - 1}, exchanges % 2 == 0});
  } while (std::next_permutation(axes.begin(), axes.end()));
  return tetrahedra;
}

/// Walks over the cubes of a field, the slowest axis outermost. Points lie on the edges of tetrahedra; each edge is
/// known by its lower voxel and its step (a corner's bits) from there.
class MarchingTetrahedra {
 public:
  explicit MarchingTetrahedra(const Field& field)
      : field_(field),
        row_(static_cast<std::size_t>(field.shape[2])),
        plane_(row_ * static_cast<std::size_t>(field.shape[1])),
        known_(2 * plane_ * kCorners, kUnknown) {
    for (unsigned corner = 0; corner < kCorners; ++corner)
      offsets_[corner] = (corner & 1) + (corner >> 1 & 1) * row_ + (corner >> 2) * plane_;
  }

  /// In the field's indices (x, y, z).
  Surface surface() && {
    for (std::int64_t z = 0; z + 1 < field_.shape[0]; ++z) {
      forget_plane(z + 1);
      for (std::int64_t y = 0; y + 1 < field_.shape[1]; ++y)
        for (std::int64_t x = 0; x + 1 < field_.shape[2]; ++x) add_cube(z, y, x);
    }
    return std::move(surface_);
  }

 private:
  static constexpr std::uint32_t kUnknown = ~0u;

  /// The edges of only two planes are needed at a time.
  void forget_plane(std::int64_t z) {
    std::fill_n(known_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(z % 2) * plane_ * kCorners),
                plane_ * kCorners, kUnknown);
  }

  void add_cube(std::int64_t z, std::int64_t y, std::int64_t x) {
    place_ = {x, y, z};
    first_ = (static_cast<std::size_t>(z) * plane_ + static_cast<std::size_t>(y) * row_) + static_cast<std::size_t>(x);
    unsigned inside = 0;
    for (unsigned corner = 0; corner < kCorners; ++corner) inside |= (value(corner) > kHalf ? 1u : 0u) << corner;
    if (inside == 0 || inside == (1u << kCorners) - 1) return;
    for (const Tetrahedron& tetrahedron : tetrahedra_) add_tetrahedron(tetrahedron, inside);
  }

  void add_tetrahedron(const Tetrahedron& tetrahedron, unsigned inside) {
    std::array<unsigned, 4> in{}, out{};
    std::size_t ins = 0, outs = 0;
    int exchanges = tetrahedron.positive ? 0 : 1;  // needed to put those inside first
    for (const unsigned corner : tetrahedron.corners) {
      if (inside >> corner & 1) {
        in[ins++] = corner;
        exchanges += static_cast<int>(outs);
      } else {
        out[outs++] = corner;
      }
    }
    const bool turned = exchanges % 2 != 0;
    if (ins == 1) add_triangle(point(in[0], out[0]), point(in[0], out[1]), point(in[0], out[2]), turned);
    if (outs == 1) add_triangle(point(in[0], out[0]), point(in[1], out[0]), point(in[2], out[0]), turned);
    if (ins != 2) return;
    const std::uint32_t begin = point(in[0], out[0]), end = point(in[1], out[1]);
    add_triangle(begin, point(in[0], out[1]), end, turned);
    add_triangle(begin, end, point(in[1], out[0]), turned);
  }

  void add_triangle(std::uint32_t a, std::uint32_t b, std::uint32_t c, bool turned) {
    surface_.triangles.push_back(turned ? std::array{a, c, b} : std::array{a, b, c});
  }

  std::uint8_t value(unsigned corner) const { return field_.values[first_ + offsets_[corner]]; }

  /// The point between two corners of the current cube where the field is one half.
  std::uint32_t point(unsigned a, unsigned b) {
    const auto [lower, upper] = std::minmax(a, b);  // the lower one's bits are among the upper one's
    const unsigned step = lower ^ upper;
    const std::size_t plane = static_cast<std::size_t>(place_[2] + (lower >> 2 & 1)) % 2;
    const std::size_t voxel = (first_ + offsets_[lower]) % plane_;
    std::uint32_t& index = known_[(plane * plane_ + voxel) * kCorners + step];
    if (index != kUnknown) return index;
    const double begin = value(lower), share = (kHalf - begin) / (value(upper) - begin);
    Point3 place{};
    for (unsigned axis = 0; axis < 3; ++axis)
      place[axis] = static_cast<double>(place_[axis] + (lower >> axis & 1)) + (step >> axis & 1) * share;
    index = static_cast<std::uint32_t>(surface_.points.size());
    surface_.points.push_back(place);
    return index;
  }

  const Field& field_;
  const std::size_t row_, plane_;
  std::vector<std::uint32_t> known_;  // [2 planes, voxels, steps]: a point's index
  const std::vector<Tetrahedron> tetrahedra_ = tetrahedra_of_cube();
  std::array<std::size_t, kCorners> offsets_{};
  std::array<std::int64_t, 3> place_{};  // x, y, z of the current cube's first corner
  std::size_t first_ = 0;                // its index
  Surface surface_;
};

/// From the padded box's indices (x, y, z) to millimetres.
Point3 physical(const Geometry& geometry, const Box& box, const Point3& point) {
  Point3 place = geometry.origin_mm;
  for (std::size_t i = 0; i < 3; ++i) {
    const double index = point[i] - 1 + static_cast<double>(box.begin[2 - i]);
    for (std::size_t row = 0; row < 3; ++row)
      place[row] += geometry.direction[3 * row + i] * geometry.spacing_mm[2 - i] * index;
  }
  return place;
}

double determinant(const std::array<double, 9>& m) {
  return m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
}

}  // namespace

Surface label_surface(const LabelImage& labels, int value) {
  std::vector<std::uint8_t> mask(labels.voxels.size());
  std::transform(labels.voxels.begin(), labels.voxels.end(), mask.begin(),
                 [&](int label) { return static_cast<std::uint8_t>(label == value); });
  if (std::find(mask.begin(), mask.end(), 1) == mask.end()) return {};
  const Box box = bounding_box(mask, labels.shape());
  const Field field = smoothed(padded(mask, labels.shape(), box));
  Surface surface = MarchingTetrahedra(field).surface();
  for (Point3& point : surface.points) point = physical(labels.geometry, box, point);
  if (determinant(labels.geometry.direction) < 0)  // a mirror turns the triangles inside out
    for (auto& triangle : surface.triangles) std::swap(triangle[1], triangle[2]);
  return surface;
}

}  // namespace m3d
