// phantom_mri: a head in four contrasts with a nested lesion as in BraTS, ventricles, white matter and the probes.
#include <algorithm>

#include "datasets/phantom/design.h"

namespace m3d::phantom {
namespace {

enum HeadLabel { kEdema = 1, kNecrosis, kEnhancing, kWhiteMatter, kVentricles, kFirstProbe };

// T1, T1CE (after contrast agent), T2, FLAIR. Tissues differ clearly in at least one contrast.
const Signature kAir = {0, 0, 0, 0};
const Signature kGreyMatter = {480, 490, 500, 520};
const Signature kWhiteMatterLook = {680, 700, 330, 340};
const Signature kFluid = {160, 170, 900, 120};
const Signature kEdemaLook = {400, 410, 720, 880};
const Signature kNecrosisLook = {240, 260, 820, 600};
const Signature kEnhancingLook = {430, 960, 560, 700};

ProbeLook probe_look() {
  return {.first_label = kFirstProbe,
          .marker = {700, 720, 950, 900},
          .beacon_a = {60, 70, 60, 60},
          .beacon_b = {1000, 1010, 1000, 1000},
          .sphere = {1000, 1000, 900, 60},
          .rod = {200, 210, 180, 850}};
}

constexpr double kDeformationMm = 1.8;

Geometry draw_geometry(RandomStream& random) {
  Geometry geometry;
  geometry.shape = {random.integer(32, 34), random.integer(64, 70), random.integer(64, 70)};
  const double in_plane = random.uniform(0.97, 1.03);
  geometry.spacing_mm = {random.uniform(1.95, 2.1), in_plane, in_plane};
  geometry.origin_mm = {random.uniform(-60, -20), random.uniform(-60, -20), random.uniform(-60, -20)};
  return geometry;
}

Point half_extent(const Geometry& geometry) {
  Point half{};
  for (std::size_t k = 0; k < 3; ++k) {
    half[k] = 0.5 * static_cast<double>(geometry.shape[k] - 1) * geometry.spacing_mm[k];
  }
  return half;
}

LaneLayout lane_layout(const Geometry& geometry, RandomStream& random) {
  const Point middle = half_extent(geometry);
  const double reach = random.uniform(15.5, 17.5);
  LaneLayout layout;
  for (std::size_t i = 0; i < 4; ++i) {
    layout.depth_width[i] = {middle[0] + (i & 1 ? reach : -reach), middle[2] + (i & 2 ? reach : -reach)};
  }
  // Markers lie low and beacons high on the H axis: a patch that is shifted towards the high end to hold a
  // foreground voxel may lose markers, never a visible marker's beacon.
  layout.marker_h = random.uniform(11.5, 13) * geometry.spacing_mm[1];
  layout.beacon_h = random.uniform(49, 51.5) * geometry.spacing_mm[1];
  return layout;
}

void add_tissue(Scene& scene, RandomStream& random) {
  const Point middle = half_extent(scene.geometry);
  const Point rim = {3, 3, 3};
  scene.structures.push_back({0, kGreyMatter, superellipsoid(middle, middle - rim, 3)});
  Point radii{}, centre{};
  for (std::size_t k = 0; k < 3; ++k) {
    radii[k] = random.uniform(0.66, 0.82) * middle[k];
    centre[k] = middle[k] + random.uniform(-2.5, 2.5);
  }
  scene.structures.push_back({kWhiteMatter, kWhiteMatterLook, superellipsoid(centre, radii, 2)});
}

bool add_lesion(Scene& scene, Packing& packing, RandomStream& random) {
  const Frame frame = frame_along(static_cast<int>(random.integer(0, 2)), 0.6, random);
  const Point radii = {random.uniform(9.5, 12), random.uniform(9, 11), random.uniform(9, 11)};
  const auto propose = [&](const Point& centre) {
    return with_margin(ellipsoid(centre, radii, frame), kDeformationMm);
  };
  const auto centre = packing.place(random, packing.low(), packing.high(), propose);
  if (!centre) return false;
  const auto shift = [&](double reach) {
    return Point{random.uniform(-reach, reach), random.uniform(-reach, reach), random.uniform(-reach, reach)};
  };
  const double core = random.uniform(0.66, 0.76), dead = random.uniform(0.5, 0.58);
  const Point core_centre = *centre + shift(0.9);
  scene.structures.push_back({kEdema, kEdemaLook, propose(*centre)});
  scene.structures.push_back({kEnhancing, kEnhancingLook, ellipsoid(core_centre, core * radii, frame)});
  scene.structures.push_back(
      {kNecrosis, kNecrosisLook, ellipsoid(core_centre + shift(0.4), (core * dead) * radii, frame)});
  return true;
}

/// Two horns along H that part towards the low end.
bool add_ventricles(Scene& scene, Packing& packing, RandomStream& random) {
  const double half_length = random.uniform(7.5, 9.5), radius = random.uniform(3.7, 4.3), spread = random.uniform(1, 3);
  const auto propose = [&](const Point& centre) {
    std::vector<Shape> horns;
    for (const double side : {-1.0, 1.0}) {
      const double near = side * (radius + 1), far = side * (radius + 1 + spread);
      horns.push_back(tube({centre + Point{-1.5, -half_length, far}, centre + Point{1.5, 0, near},
                            centre + Point{-0.5, half_length, near}},
                           radius));
    }
    return with_margin(unite(horns), kDeformationMm);
  };
  const auto centre = packing.place(random, packing.low(), packing.high(), propose);
  if (!centre) return false;
  scene.structures.push_back({kVentricles, kFluid, propose(*centre)});
  return true;
}

}  // namespace

std::optional<Design> design_head(RandomStream& random) {
  Design design;
  design.scene.geometry = draw_geometry(random);
  design.scene.background = kAir;
  design.deformation_mm = kDeformationMm;
  add_tissue(design.scene, random);
  const Point middle = half_extent(design.scene.geometry), rim = {3.5, 3.5, 3.5}, play = {9, 5, 9};
  Packing packing(rim, 2.0 * middle - rim, 1.0);
  const ProbeLook look = probe_look();
  const bool complete = add_lanes(design, packing, look, lane_layout(design.scene.geometry, random), random) &&
                        add_large_sphere(design, packing, look, middle - play, middle + play, random) &&
                        add_lesion(design.scene, packing, random) && add_ventricles(design.scene, packing, random) &&
                        add_small_probes(design, packing, look, random);
  if (!complete) return std::nullopt;
  return design;
}

ClassTable head_classes() {
  ClassTable table;
  table.channel_names = {"T1", "T1CE", "T2", "FLAIR"};
  table.region_based = true;
  table.classes = {{"whole_tumour", {kEdema, kNecrosis, kEnhancing}},
                   {"tumour_core", {kNecrosis, kEnhancing}},
                   {"enhancing_tumour", {kEnhancing}},
                   {"white_matter", {kWhiteMatter}},
                   {"ventricles", {kVentricles}}};
  int label = kFirstProbe;
  for (const std::string& name : probe_class_names()) table.classes.push_back({name, {label++}});
  return table;
}

}  // namespace m3d::phantom
