#include "datasets/phantom/scene.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace m3d::phantom {
namespace {

struct VoxelBox {
  std::array<std::int64_t, 3> begin{}, end{};
};

Point position_of(const Geometry& geometry, std::int64_t d, std::int64_t h, std::int64_t w) {
  return {static_cast<double>(d) * geometry.spacing_mm[0], static_cast<double>(h) * geometry.spacing_mm[1],
          static_cast<double>(w) * geometry.spacing_mm[2]};
}

VoxelBox voxels_around(const Structure& structure, const Geometry& geometry, double margin_mm) {
  VoxelBox box{geometry.shape, {0, 0, 0}};
  for (const Capsule& capsule : structure.shape.hull) {
    for (std::size_t k = 0; k < 3; ++k) {
      const double reach = capsule.radius + margin_mm, spacing = geometry.spacing_mm[k];
      const auto first =
          static_cast<std::int64_t>(std::floor((std::min(capsule.a[k], capsule.b[k]) - reach) / spacing));
      const auto last = static_cast<std::int64_t>(std::ceil((std::max(capsule.a[k], capsule.b[k]) + reach) / spacing));
      box.begin[k] = std::min(box.begin[k], std::max<std::int64_t>(first, 0));
      box.end[k] = std::max(box.end[k], std::min(last + 1, geometry.shape[k]));
    }
  }
  return box;
}

/// Share of a voxel around `centre` that lies inside a shape.
class Occupancy {
 public:
  /// `stretch`: how much faster than 1 per mm the distance may change between neighbouring voxels.
  Occupancy(const Shape& shape, const Point& spacing, double stretch)
      : shape_(shape), spacing_(spacing), sure_(0.5 * stretch * length(spacing)) {}

  double operator()(const Point& centre) const {
    const double distance = shape_.distance(centre);
    if (distance > sure_) return 0;
    if (distance < -sure_) return 1;
    return share_of_samples(centre);
  }

 private:
  static constexpr std::array<int, 3> kSamples = {4, 3, 3};  // slices are thick

  double share_of_samples(const Point& centre) const {
    int inside = 0;
    for (int d = 0; d < kSamples[0]; ++d) {
      for (int h = 0; h < kSamples[1]; ++h) {
        for (int w = 0; w < kSamples[2]; ++w) inside += shape_.distance(sample(centre, {d, h, w})) < 0;
      }
    }
    return static_cast<double>(inside) / (kSamples[0] * kSamples[1] * kSamples[2]);
  }

  Point sample(const Point& centre, const std::array<int, 3>& index) const {
    Point p = centre;
    for (std::size_t k = 0; k < 3; ++k) p[k] += ((index[k] + 0.5) / kSamples[k] - 0.5) * spacing_[k];
    return p;
  }

  const Shape& shape_;
  const Point& spacing_;
  double sure_;
};

/// Where the tissue of each voxel came from; a voxel's samples share it, as the waves are long.
std::vector<Point> tissue_positions(const Geometry& geometry, const Deformation& deformation) {
  std::vector<Point> positions;
  positions.reserve(static_cast<std::size_t>(voxel_count(geometry.shape)));
  for (std::int64_t d = 0; d < geometry.shape[0]; ++d) {
    for (std::int64_t h = 0; h < geometry.shape[1]; ++h) {
      for (std::int64_t w = 0; w < geometry.shape[2]; ++w) {
        const Point centre = position_of(geometry, d, h, w);
        positions.push_back(centre + deformation(centre));
      }
    }
  }
  return positions;
}

class Painter {
 public:
  Painter(RenderedScene& picture, const Deformation& deformation)
      : picture_(picture),
        geometry_(picture.labels.geometry),
        amplitude_mm_(deformation.amplitude_mm()),
        tissue_(tissue_positions(geometry_, deformation)) {}

  void paint(const Structure& structure) {
    const double margin = (structure.deformed ? amplitude_mm_ : 0) + 0.5 * length(geometry_.spacing_mm);
    const VoxelBox box = voxels_around(structure, geometry_, margin);
    const Occupancy occupancy(structure.shape, geometry_.spacing_mm, structure.deformed ? 1.5 : 1.0);
    for (std::int64_t d = box.begin[0]; d < box.end[0]; ++d) {
      for (std::int64_t h = box.begin[1]; h < box.end[1]; ++h) {
        for (std::int64_t w = box.begin[2]; w < box.end[2]; ++w) {
          const auto voxel = static_cast<std::size_t>((d * geometry_.shape[1] + h) * geometry_.shape[2] + w);
          const double share = occupancy(structure.deformed ? tissue_[voxel] : position_of(geometry_, d, h, w));
          if (share > 0) blend(voxel, structure, share);
        }
      }
    }
  }

 private:
  void blend(std::size_t voxel, const Structure& structure, double share) {
    for (std::size_t c = 0; c < picture_.channels.size(); ++c) {
      float& value = picture_.channels[c].voxels[voxel];
      value = static_cast<float>((1 - share) * value + share * structure.signature[c]);
    }
    if (share >= 0.5) picture_.labels.voxels[voxel] = static_cast<std::int16_t>(structure.label);
  }

  RenderedScene& picture_;
  const Geometry geometry_;
  double amplitude_mm_;
  std::vector<Point> tissue_;
};

}  // namespace

Deformation::Deformation(double amplitude_mm, RandomStream& random) : amplitude_mm_(amplitude_mm) {
  for (Wave& wave : waves_) {
    const Point heading = {random.normal(), random.normal(), random.normal()};
    const Point push = {random.normal(), random.normal(), random.normal()};
    wave.frequency = (2 * std::numbers::pi / random.uniform(40, 90) / length(heading)) * heading;
    wave.direction = (amplitude_mm / 3 / length(push)) * push;
    wave.phase = random.uniform(0, 2 * std::numbers::pi);
  }
}

Point Deformation::operator()(const Point& p) const {
  Point sum{};
  for (const Wave& wave : waves_) sum = sum + std::sin(dot(wave.frequency, p) + wave.phase) * wave.direction;
  return sum;
}

RenderedScene render(const Scene& scene, const Deformation& deformation) {
  const auto count = static_cast<std::size_t>(voxel_count(scene.geometry.shape));
  RenderedScene picture;
  for (const double value : scene.background) {
    picture.channels.push_back({scene.geometry, std::vector<float>(count, static_cast<float>(value))});
  }
  picture.labels = {scene.geometry, std::vector<std::int16_t>(count, 0)};
  Painter painter(picture, deformation);
  for (const Structure& structure : scene.structures) painter.paint(structure);
  return picture;
}

bool Packing::fits(const Shape& shape) const {
  for (const Capsule& capsule : shape.hull) {
    for (std::size_t k = 0; k < 3; ++k) {
      if (std::min(capsule.a[k], capsule.b[k]) - capsule.radius < low_[k]) return false;
      if (std::max(capsule.a[k], capsule.b[k]) + capsule.radius > high_[k]) return false;
    }
    for (const Capsule& other : taken_) {
      if (gap_of_balls(capsule, other) < clearance_mm_ && gap(capsule, other) < clearance_mm_) return false;
    }
  }
  return true;
}

void Packing::add(const Shape& shape) { taken_.insert(taken_.end(), shape.hull.begin(), shape.hull.end()); }

}  // namespace m3d::phantom
