// phantom_ct: a torso after contrast agent, in Hounsfield units. From the feet up (D): pelvis with the probes of the
// long_range group, abdomen, thorax.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "datasets/phantom/design.h"

namespace m3d::phantom {
namespace {

enum TorsoLabel {
  kLiver = 1,
  kSpleen,
  kKidneys,
  kStomach,
  kGallbladder,
  kPancreas,
  kBladder,
  kHeart,
  kLungs,
  kTrachea,
  kAorta,
  kHepaticVessels,
  kVertebrae,
  kRibs,
  kFirstProbe
};

constexpr double kAir = -1000, kFat = -100, kMuscle = 50;
constexpr double kDeformationMm = 1.5, kHeightMm = 118, kThoraxMm = 34, kPelvisMm = 46;

ProbeLook probe_look() {
  return {.first_label = kFirstProbe,
          .marker = {560},
          .beacon_a = {-700},
          .beacon_b = {1600},
          .sphere = {-400},
          .rod = {1100}};
}

std::array<double, 9> tilted_directions(RandomStream& random) {
  const Frame frame = frame_along(0, 0.25, random);
  std::array<double, 9> direction{};
  for (std::size_t row = 0; row < 3; ++row) {
    for (std::size_t column = 0; column < 3; ++column) direction[3 * row + column] = frame[column][row];
  }
  return direction;
}

/// Slices about three times as thick as the pixels are wide; every third case or so is oblique.
Geometry draw_geometry(RandomStream& random) {
  Geometry geometry;
  geometry.shape = {random.integer(36, 40), random.integer(72, 80), random.integer(72, 80)};
  const double in_plane = random.uniform(0.96, 1.04);
  geometry.spacing_mm = {kHeightMm / static_cast<double>(geometry.shape[0]), in_plane, in_plane};
  geometry.origin_mm = {random.uniform(-60, -20), random.uniform(-60, -20), random.uniform(-400, 100)};
  if (random.uniform() < 0.35) geometry.direction = tilted_directions(random);
  return geometry;
}

/// Builds one torso. `left` and `right` are towards low and high W, `back` is towards high H.
class TorsoBuilder {
 public:
  TorsoBuilder(Design& design, RandomStream& random)
      : design_(design),
        random_(random),
        height_(extent(0)),
        middle_{extent(0) / 2, extent(1) / 2, extent(2) / 2},
        half_h_(extent(1) / 2 - random.uniform(2, 3.5)),
        half_w_(extent(2) / 2 - random.uniform(1.5, 3)),
        packing_({3, middle_[1] - half_h_ + 4, middle_[2] - half_w_ + 4},
                 {height_ - 3, middle_[1] + half_h_ - 4, middle_[2] + half_w_ - 4}, 1.0) {}

  bool build() {
    add_body();
    add_spine_and_aorta();
    add_thorax();
    add_abdomen();
    add_bladder();
    const Point middle = {kPelvisMm / 2, middle_[1], middle_[2]};
    const ProbeLook look = probe_look();
    return fits_ && add_lanes(design_, packing_, look, lane_layout(), random_) &&
           add_large_sphere(design_, packing_, look, middle - Point{8, 9, 9}, middle + Point{8, 9, 9}, random_) &&
           add_small_probes(design_, packing_, look, random_);
  }

 private:
  double extent(std::size_t axis) const {
    const Geometry& geometry = design_.scene.geometry;
    return static_cast<double>(geometry.shape[axis] - 1) * geometry.spacing_mm[axis];
  }
  /// A factor around 1: how this patient's organ differs from the average one.
  double vary(double by = 0.12) { return random_.uniform(1 - by, 1 + by); }
  Point shift(double by) { return {random_.uniform(-by, by), random_.uniform(-by, by), random_.uniform(-by, by)}; }
  Point at(double depth, double h, double w) const { return {depth, middle_[1] + h, middle_[2] + w}; }
  Point varied(const Point& radii) { return {radii[0] * vary(), radii[1] * vary(), radii[2] * vary()}; }

  void paint(int label, double hounsfield, const Shape& shape) {
    design_.scene.structures.push_back({label, {hounsfield}, shape});
  }
  /// An organ that keeps its place: it must fit, or the whole torso is drawn again.
  void add_organ(int label, double hounsfield, const Shape& shape) {
    const Shape roomy = with_margin(shape, kDeformationMm / 2);
    fits_ = fits_ && packing_.fits(roomy);
    packing_.add(roomy);
    paint(label, hounsfield, with_margin(shape, kDeformationMm));
  }

  Shape trunk(double inset) const {
    return superellipsoid(middle_, {4 * height_, half_h_ - inset, half_w_ - inset}, 2);
  }

  void add_body() {
    paint(0, kFat, trunk(0));
    paint(0, kMuscle, wall(trunk(1.8), 2.2));
  }

  void add_spine_and_aorta() {
    const double sway = random_.uniform(-2, 2), back = half_h_ - 11.5;
    const auto line = [&](double h, double w, double radius, double low, double high) {
      return tube({at(low, h, w), at((low + high) / 2, h - 1, w + sway), at(high, h, w)}, radius);
    };
    // Spine and aorta run through the whole volume, beyond the packing's box.
    const Shape spine = line(back, 0, 5.5 * vary(0.08), 4.5 + 6, height_ - 10);
    const Shape aorta = line(back - 12.5, 3, 3.6 * vary(0.08), kPelvisMm + 2, height_ - 8);
    add_organ(kVertebrae, 380, spine);
    add_organ(kAorta, 300, aorta);
  }

  void add_thorax() {
    const double middle_depth = height_ - kThoraxMm / 2;
    const Shape trachea = tube({at(height_ - 20, 1, 0), at(height_ - 7, 2, random_.uniform(-1, 1))}, 2.4 * vary());
    add_organ(kTrachea, -985, trachea);
    for (const double side : {-1.0, 1.0}) {
      const Point radii = varied({13.5, 16, 7.5});
      add_organ(kLungs, -840, ellipsoid(at(middle_depth, 3, side * 20.5) + shift(0.7), radii));
    }
    // The heart lies in a bay of the lungs: painted over them.
    const Shape heart = ellipsoid(at(middle_depth - 3, -16, 3) + shift(1), varied({9.5, 9, 9.5}));
    packing_.add(heart);
    paint(kHeart, 180, with_margin(heart, kDeformationMm));
    for (int i = 0; i < 3; ++i) add_rib(height_ - kThoraxMm + 6 + 9.5 * i + random_.uniform(-1, 1));
  }

  /// A ring in the muscle, higher at the back, open in front.
  void add_rib(double depth) {
    constexpr int kBends = 18;
    constexpr double kSlopeMm = 4;
    std::vector<Point> points;
    for (int i = 0; i <= kBends; ++i) {
      const double angle = std::numbers::pi * (-0.8 + 1.6 * i / kBends);
      const double c = std::cos(angle), s = std::sin(angle);
      const double scale = 1 / std::sqrt(std::hypot(c * c, s * s));  // onto the trunk's outline
      points.push_back(at(depth + kSlopeMm * c, (half_h_ - 3) * scale * c, (half_w_ - 3) * scale * s));
    }
    paint(kRibs, 800, with_margin(tube(points, 1.9), kDeformationMm));
  }

  void add_abdomen() {
    const double depth = kPelvisMm + 17;
    add_liver(at(depth + 1, -8, -14.5) + shift(0.8));
    add_organ(kStomach, 20, ellipsoid(at(depth + 5, -15, 15) + shift(1), varied({8, 8, 8.5})));
    add_organ(kSpleen, 140, ellipsoid(at(depth + 6, 7, 23) + shift(0.7), varied({7.5, 7, 4.8})));
    for (const double side : {-1.0, 1.0}) {
      add_organ(kKidneys, 215, ellipsoid(at(depth - 7, 16.5, side * 18) + shift(0.8), varied({8.5, 5, 5})));
    }
    add_organ(kPancreas, 80, tube({at(depth - 9, -3, 3), at(depth - 8, -7, 11), at(depth - 6, -4, 20)}, 2.9 * vary()));
    add_organ(kGallbladder, 5, ellipsoid(at(depth - 14, -20, -4) + shift(1), varied({4.5, 4.5, 3.8})));
  }

  void add_liver(const Point& centre) {
    const Point radii = varied({14.5, 14, 13});
    const Shape liver = ellipsoid(centre, radii);
    add_organ(kLiver, 110, liver);
    const double reach = 0.8;
    const auto inside = [&](double d, double h, double w) {
      return centre + Point{d * reach * radii[0], h * reach * radii[1], w * reach * radii[2]};
    };
    const auto wander = [&] { return random_.uniform(-0.2, 0.2); };
    const Point root = inside(-0.3, 0.6, 0.5), fork = inside(wander(), 0.1, wander());
    std::vector<Shape> branches = {tube({root, fork}, 1.5)};
    for (const Point& tip : {inside(0.8, -0.3 + wander(), wander()), inside(wander(), -0.8, 0.4 + wander()),
                             inside(wander() - 0.3, wander() - 0.3, -0.85), inside(0.5, 0.4, -0.5 + wander())}) {
      branches.push_back(tube({fork, 0.5 * (fork + tip) + shift(1), tip}, 1.3));
    }
    paint(kHepaticVessels, 270, with_margin(unite(branches), kDeformationMm));
  }

  void add_bladder() { add_organ(kBladder, -8, ellipsoid(at(11, -half_h_ + 14, 0) + shift(1), varied({5, 6, 7}))); }

  LaneLayout lane_layout() {
    const double spacing = design_.scene.geometry.spacing_mm[1];
    const double last_voxel = static_cast<double>(design_.scene.geometry.shape[1]);
    const double low = random_.uniform(11.5, 12.5), high = random_.uniform(35, 37), reach = random_.uniform(17, 19);
    LaneLayout layout;
    layout.depth_width = {
        {{low, middle_[2] - reach}, {low, middle_[2] + reach}, {high, middle_[2] - reach}, {high, middle_[2] + reach}}};
    // Any 64 voxels that hold a marker hold its beacon too (see head.cpp), and the sliding window's first and last do.
    layout.marker_h = std::max(18.0, last_voxel - 60) * spacing;
    layout.beacon_h = 56.5 * spacing;
    return layout;
  }

  Design& design_;
  RandomStream& random_;
  double height_;
  Point middle_;
  double half_h_, half_w_;
  Packing packing_;
  bool fits_ = true;
};

}  // namespace

std::optional<Design> design_torso(RandomStream& random) {
  Design design;
  design.scene.geometry = draw_geometry(random);
  design.scene.background = {kAir};
  design.deformation_mm = kDeformationMm;
  if (!TorsoBuilder(design, random).build()) return std::nullopt;
  return design;
}

ClassTable torso_classes() {
  ClassTable table;
  table.channel_names = {"CT"};
  std::vector<std::string> names = {"liver", "spleen", "kidneys", "stomach", "gallbladder",     "pancreas",  "bladder",
                                    "heart", "lungs",  "trachea", "aorta",   "hepatic_vessels", "vertebrae", "ribs"};
  for (const std::string& probe : probe_class_names()) names.push_back(probe);
  for (std::size_t i = 0; i < names.size(); ++i) table.classes.push_back({names[i], {static_cast<int>(i) + 1}});
  return table;
}

}  // namespace m3d::phantom
