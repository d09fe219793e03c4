// The three controlled difficulties: long_range, multi_scale and direction.
#include <algorithm>
#include <cmath>

#include "datasets/phantom/design.h"

namespace m3d::phantom {
namespace {

enum ProbeLabel { kMarkerA, kMarkerB, kSphereSmall, kSphereMedium, kSphereLarge, kRodDepth };

constexpr double kLaneJitter = 1.5;
constexpr double kSmallRadius = 1.3, kMediumRadius = 4.5, kLargeRadius = 14.3;
constexpr double kRodHalfLength = 8.5, kRodHalfWidth = 2.5, kRodTilt = 0.1;
constexpr int kMediumSpheres = 2, kRodsPerDirection = 3;

Point voxel_of(const Point& mm, const Geometry& geometry) {
  return {mm[0] / geometry.spacing_mm[0], mm[1] / geometry.spacing_mm[1], mm[2] / geometry.spacing_mm[2]};
}

/// The centre of the nearest voxel: a sphere little wider than a slice would else fall between two slices.
Point snapped(const Point& mm, const Geometry& geometry) {
  Point p{};
  for (std::size_t k = 0; k < 3; ++k) p[k] = std::round(mm[k] / geometry.spacing_mm[k]) * geometry.spacing_mm[k];
  return p;
}

Point jittered(const Point& p, RandomStream& random) {
  return p + Point{random.uniform(-kLaneJitter, kLaneJitter), random.uniform(-kLaneJitter, kLaneJitter),
                   random.uniform(-kLaneJitter, kLaneJitter)};
}

Shape ball(const Point& centre, double mean_radius, RandomStream& random) {
  const auto radius = [&] { return mean_radius * random.uniform(0.92, 1.08); };
  return ellipsoid(centre, {radius(), radius(), radius()});
}

/// Two lanes of each kind, in random order.
std::array<bool, 4> draw_kinds(RandomStream& random) {
  std::array<bool, 4> is_a = {true, true, false, false};
  for (std::size_t i = is_a.size() - 1; i > 0; --i) {
    std::swap(is_a[i], is_a[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(i)))]);
  }
  return is_a;
}

void add_rigid(Design& design, int label, const Signature& signature, const Shape& shape) {
  design.scene.structures.push_back({label, signature, shape, false});
}

bool add_rods(Design& design, Packing& packing, const ProbeLook& look, RandomStream& random) {
  for (int i = 0; i < 3 * kRodsPerDirection; ++i) {
    const int axis = i % 3;
    const Frame frame = frame_along(axis, kRodTilt, random);
    const double half_length = kRodHalfLength * random.uniform(0.93, 1.07);
    const auto propose = [&](const Point& centre) { return rod(centre, frame, half_length, kRodHalfWidth); };
    const auto centre = packing.place(random, packing.low(), packing.high(), propose);
    if (!centre) return false;
    add_rigid(design, look.first_label + kRodDepth + axis, look.rod, propose(*centre));
  }
  return true;
}

/// A sphere, or where it is thinner than a slice an ellipsoid that fills one: else no voxel would be half full.
Shape visible_sphere(const Point& centre, double radius, const Geometry& geometry) {
  return ellipsoid(snapped(centre, geometry), {std::max(radius, 0.75 * geometry.spacing_mm[0]), radius, radius});
}

bool add_spheres(Design& design, Packing& packing, const ProbeLook& look, ProbeLabel kind, double radius, int count,
                 RandomStream& random) {
  for (int i = 0; i < count; ++i) {
    const double own_radius = radius * random.uniform(0.97, 1.03);
    const auto propose = [&](const Point& centre) { return visible_sphere(centre, own_radius, design.scene.geometry); };
    const auto centre = packing.place(random, packing.low(), packing.high(), propose);
    if (!centre) return false;
    add_rigid(design, look.first_label + kind, look.sphere, propose(*centre));
  }
  return true;
}

}  // namespace

std::vector<std::string> probe_class_names() {
  return {"marker_a",     "marker_b",  "sphere_small", "sphere_medium",
          "sphere_large", "rod_depth", "rod_height",   "rod_width"};
}

bool add_lanes(Design& design, Packing& packing, const ProbeLook& look, const LaneLayout& layout,
               RandomStream& random) {
  constexpr double kMarkerRadius = 5.8, kBeaconRadius = 5.8;
  const std::array<bool, 4> is_a = draw_kinds(random);
  const Geometry& geometry = design.scene.geometry;
  for (std::size_t i = 0; i < is_a.size(); ++i) {
    const auto [depth, width] = layout.depth_width[i];
    const Point marker = jittered({depth, layout.marker_h, width}, random);
    const Point beacon = jittered({depth, layout.beacon_h, width}, random);
    const Shape marker_shape = ball(marker, kMarkerRadius, random), beacon_shape = ball(beacon, kBeaconRadius, random);
    if (!packing.fits(marker_shape) || !packing.fits(beacon_shape)) return false;
    packing.add(marker_shape);
    packing.add(beacon_shape);
    add_rigid(design, look.first_label + (is_a[i] ? kMarkerA : kMarkerB), look.marker, marker_shape);
    add_rigid(design, 0, is_a[i] ? look.beacon_a : look.beacon_b, beacon_shape);
    design.lanes.push_back(
        {probe_class_names()[is_a[i] ? kMarkerA : kMarkerB], voxel_of(marker, geometry), voxel_of(beacon, geometry)});
  }
  return true;
}

bool add_large_sphere(Design& design, Packing& packing, const ProbeLook& look, const Point& low, const Point& high,
                      RandomStream& random) {
  const double radius = kLargeRadius * random.uniform(0.97, 1.03);
  const auto propose = [&](const Point& centre) { return sphere(centre, radius); };
  const auto centre = packing.place(random, low, high, propose);
  if (!centre) return false;
  add_rigid(design, look.first_label + kSphereLarge, look.sphere, propose(*centre));
  return true;
}

bool add_small_probes(Design& design, Packing& packing, const ProbeLook& look, RandomStream& random) {
  return add_rods(design, packing, look, random) &&
         add_spheres(design, packing, look, kSphereMedium, kMediumRadius, kMediumSpheres, random) &&
         add_spheres(design, packing, look, kSphereSmall, kSmallRadius, static_cast<int>(random.integer(6, 10)),
                     random);
}

}  // namespace m3d::phantom
