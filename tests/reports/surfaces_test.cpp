#include "reports/surfaces.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <random>

#include "reports/panels.h"
#include "tests/reports/report_checks.h"

namespace fs = std::filesystem;
using namespace m3d;
using namespace m3d::reports;
using namespace m3d::testing;

namespace {

/// A ball of label 3 around `centre_mm` from the first voxel's centre, along [z, y, x].
LabelImage ball(const std::array<double, 3>& spacing, double radius, const Point3& centre_mm, const Shape3& shape) {
  LabelImage image;
  image.geometry.shape = shape;
  image.geometry.spacing_mm = spacing;
  for (std::int64_t z = 0; z < shape[0]; ++z)
    for (std::int64_t y = 0; y < shape[1]; ++y)
      for (std::int64_t x = 0; x < shape[2]; ++x) {
        const double dz = static_cast<double>(z) * spacing[0] - centre_mm[0],
                     dy = static_cast<double>(y) * spacing[1] - centre_mm[1],
                     dx = static_cast<double>(x) * spacing[2] - centre_mm[2];
        image.voxels.push_back(dz * dz + dy * dy + dx * dx < radius * radius ? 3 : 0);
      }
  return image;
}

/// Every edge has two triangles, which run along it in opposite directions.
bool closed(const Surface& surface) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::array<int, 2>> faces;
  for (const auto& triangle : surface.triangles)
    for (std::size_t i = 0; i < 3; ++i) {
      const auto from = triangle[i], to = triangle[(i + 1) % 3];
      ++faces[std::minmax(from, to)][from < to];
    }
  return std::all_of(faces.begin(), faces.end(), [](const auto& edge) { return edge.second == std::array{1, 1}; });
}

/// Points less edges plus triangles: 2 for every ball, 0 for every torus.
std::int64_t euler_number(const Surface& surface) {
  const auto triangles = static_cast<std::int64_t>(surface.triangles.size());
  return static_cast<std::int64_t>(surface.points.size()) - 3 * triangles / 2 + triangles;
}

/// Every point's triangles are one fan around it.
bool manifold_at_points(const Surface& surface) {
  std::vector<std::map<std::uint32_t, std::uint32_t>> next(surface.points.size());
  for (const auto& triangle : surface.triangles)
    for (std::size_t i = 0; i < 3; ++i) next[triangle[i]][triangle[(i + 1) % 3]] = triangle[(i + 2) % 3];
  return std::all_of(next.begin(), next.end(), [](const auto& ring) {
    std::size_t steps = 0;
    std::uint32_t place = ring.begin()->first;
    do place = ring.at(place), ++steps;
    while (place != ring.begin()->first && steps <= ring.size());
    return steps == ring.size();
  });
}

LabelImage empty_image(const Shape3& shape) {
  LabelImage image;
  image.geometry.shape = shape;
  image.voxels.assign(static_cast<std::size_t>(voxel_count(shape)), 0);
  return image;
}

/// A solid torus around the z axis.
LabelImage torus(const Shape3& shape, double ring, double tube) {
  LabelImage image = empty_image(shape);
  for (std::int64_t z = 0; z < shape[0]; ++z)
    for (std::int64_t y = 0; y < shape[1]; ++y)
      for (std::int64_t x = 0; x < shape[2]; ++x) {
        const auto from_centre = [&](std::int64_t place, std::size_t axis) {
          return static_cast<double>(place) - static_cast<double>(shape[axis] - 1) / 2;
        };
        const double away = std::hypot(from_centre(y, 1), from_centre(x, 2)) - ring;
        image.at(z, y, x) = std::hypot(away, from_centre(z, 0)) < tube ? 3 : 0;
      }
  return image;
}

/// Every voxel label 3 with `share`'s probability.
LabelImage noise(const Shape3& shape, unsigned seed, double share) {
  LabelImage image = empty_image(shape);
  std::mt19937 random(seed);
  for (auto& voxel : image.voxels) voxel = random() < share * 4294967296.0 ? 3 : 0;
  return image;
}

Point3 middle(const Surface& surface) {
  Point3 sum{};
  for (const Point3& point : surface.points)
    for (std::size_t i = 0; i < 3; ++i) sum[i] += point[i] / static_cast<double>(surface.points.size());
  return sum;
}

double ball_volume(double radius) { return 4.0 / 3 * std::numbers::pi * std::pow(radius, 3); }
double ball_area(double radius) { return 4 * std::numbers::pi * radius * radius; }

}  // namespace

TEST_CASE("the surface of a ball closes and has its area, volume and place") {
  const std::array<double, 3> spacing = GENERATE(std::array{1.0, 1.0, 1.0}, std::array{1.5, 0.8, 0.8});
  const LabelImage image = ball(spacing, 15, {22, 20, 18}, {40, 60, 60});
  Surface surface = label_surface(image, 3);
  CHECK(closed(surface));
  CHECK(volume_mm3(surface) == Approx(ball_volume(15)).epsilon(0.03));
  smooth(surface);
  CHECK(closed(surface));
  CHECK(volume_mm3(surface) == Approx(ball_volume(15)).epsilon(0.03));
  CHECK(area_mm2(surface) == Approx(ball_area(15)).epsilon(0.04));
  const Point3 centre = middle(surface);  // x, y, z
  CHECK(centre[0] == Approx(18).margin(0.2));
  CHECK(centre[1] == Approx(20).margin(0.2));
  CHECK(centre[2] == Approx(22).margin(0.2));
  CHECK(label_surface(image, 2).triangles.empty());
}

TEST_CASE("a surface has the topology of its mask") {
  CHECK(euler_number(label_surface(ball({1, 1, 1}, 9, {12, 12, 12}, {25, 25, 25}), 3)) == 2);
  const LabelImage solid = torus({16, 40, 40}, 12, 4.5);
  const Surface ring = label_surface(solid, 3);
  CHECK(closed(ring));
  CHECK(euler_number(ring) == 0);
  const auto voxels = std::count(solid.voxels.begin(), solid.voxels.end(), 3);
  CHECK(volume_mm3(ring) == Approx(static_cast<double>(voxels)).epsilon(0.03));

  LabelImage hollow = ball({1, 1, 1}, 9, {12, 12, 12}, {25, 25, 25});
  hollow.at(12, 12, 12) = 0;  // a bubble of one voxel is a surface of its own, inside out
  const Surface two = label_surface(hollow, 3);
  CHECK(closed(two));
  CHECK(euler_number(two) == 4);
}

TEST_CASE("a surface parts the centres of its label's voxels from the others, single ones too") {
  LabelImage image = empty_image({5, 5, 9});
  image.at(2, 2, 2) = 3;
  image.at(2, 2, 6) = 3;
  const Surface surface = label_surface(image, 3);
  CHECK(closed(surface));
  CHECK(euler_number(surface) == 4);
  for (const Point3& point : surface.points) {
    const double nearest = point[0] < 4 ? 2 : 6;
    for (std::size_t axis = 0; axis < 3; ++axis) CHECK(std::abs(point[axis] - (axis == 0 ? nearest : 2)) < 0.5);
  }
  CHECK(volume_mm3(surface) > 0);
}

TEST_CASE("ragged masks have closed surfaces that meet themselves nowhere") {
  const unsigned seed = GENERATE(range(0u, 12u));
  const double share = GENERATE(0.02, 0.3, 0.5, 0.7, 0.98);
  CAPTURE(seed, share);
  Surface surface = label_surface(noise({9, 14, 11}, seed, share), 3);
  CHECK(closed(surface));
  CHECK(manifold_at_points(surface));
  CHECK(volume_mm3(surface) > 0);
  const Surface again = label_surface(noise({9, 14, 11}, seed, share), 3);
  CHECK(again.points == surface.points);
  CHECK(again.triangles == surface.triangles);
  smooth(surface);
  CHECK(std::isfinite(area_mm2(surface)));
}

TEST_CASE("masks of one slice, one row and whole volumes have surfaces") {
  const Shape3 shape = GENERATE(Shape3{1, 7, 5}, Shape3{1, 1, 6}, Shape3{1, 1, 1}, Shape3{4, 3, 2});
  const Surface surface = label_surface(noise(shape, 0, 2), 3);  // every voxel
  CHECK(closed(surface));
  CHECK(euler_number(surface) == 2);
}

TEST_CASE("surfaces close at the image's border, lie where the header says and are never inside out") {
  LabelImage image = ball({1, 1, 1}, 10, {0, 12, 12}, {24, 24, 24});
  CHECK(closed(label_surface(image, 3)));
  const Point3 before = middle(label_surface(image, 3));
  image.geometry.origin_mm = {100, 0, 0};
  image.geometry.direction = {-1, 0, 0, 0, 1, 0, 0, 0, 1};  // a mirror
  const Surface mirrored = label_surface(image, 3);
  CHECK(volume_mm3(mirrored) > 0);
  CHECK(middle(mirrored)[0] == Approx(100 - before[0]));
}

TEST_CASE("large volumes are thinned along their finest axes") {
  const LabelImage image = ball({3, 1, 1}, 24, {36, 30, 30}, {24, 60, 60});
  const LabelImage thin = thinned(image, 24 * 30 * 30);
  CHECK(thin.shape() == Shape3{24, 30, 30});
  CHECK(thin.geometry.spacing_mm == std::array<double, 3>{3, 2, 2});
  CHECK(volume_mm3(label_surface(thin, 3)) == Approx(ball_volume(24)).epsilon(0.04));
  CHECK(thinned(image, 24 * 60 * 60).shape() == image.shape());
}

TEST_CASE("scenes are drawn alike every time, the nearer surface in front and lit from the upper left") {
  const LabelImage image = ball({1, 1, 1}, 12, {20, 20, 20}, {40, 40, 40});
  const Surface surface = label_surface(image, 3);
  Surface behind = surface;
  for (Point3& point : behind.points) point[1] += 40;  // posterior
  const Scene scene = {{surface, {200, 0, 0}}, {behind, {0, 0, 200}}};
  const ViewFrame frame = frame_around({{scene[0]}});
  const Raster first = draw_scene(scene, frame, 4), second = draw_scene(scene, frame, 4);
  CHECK(first.pixels == second.pixels);
  CHECK(first.width == Approx(4 * 24).margin(5));
  const Rgb centre = first.at(first.width / 2, first.height / 2);
  CHECK(centre[0] > 100);
  CHECK(centre[2] == 0);
  CHECK(first.at(0, 0) == Rgb{255, 255, 255});
  CHECK(first.at(first.width * 3 / 10, first.height * 3 / 10)[0] >
        first.at(first.width * 7 / 10, first.height * 7 / 10)[0] + 40);
}

TEST_CASE("columns whose titles have no room beside each other go on below") {
  const Theme theme = Theme::load(fs::path(M3D_SOURCE_DIR) / "reports/theme.yaml");
  const TemporaryFolder temporary("panels");
  const auto height = [&](std::size_t columns) {
    PanelTable table;
    table.titles.assign(columns, "UlikeTrans_vanilla small");
    table.remarks.assign(columns, "85.0 %");
    table.rows = {std::vector(columns, Raster(40, 40, {1, 2, 3}))};
    const FigureScript script = panels_script("panels", table, {}, theme, temporary.path());
    CHECK(script.width_mm == theme.double_column_mm);
    return script.height_mm;
  };
  CHECK(height(4) == Approx(height(3)).epsilon(0.2));
  CHECK(height(8) == Approx(2 * height(4)).epsilon(0.2));
}

TEST_CASE("the surfaces of a report are the same bytes every time") {
  const TemporaryFolder temporary("surfaces_report");
  const fs::path dataset = write_dataset(temporary.path() / "raw", 3);
  for (SyntheticRun run : scanning_suite(1)) {
    run.dataset_folder = dataset.string();
    run.cases = 3;
    write_predictions(write_run(temporary.path(), run), dataset, run.position);
  }
  const std::string first = rendered(temporary.path(), "figures/surfaces_panels.png", {"svg"});
  CHECK(first.size() > 5000);
  CHECK(first == rendered(temporary.path(), "figures/surfaces_panels.png", {"svg"}));
  const std::string data = read_file(temporary.path() / "report/figures/surfaces.csv");
  CHECK(contains(data, "median,case_"));
  CHECK(contains(data, ",reference,,liver,"));
  CHECK(contains(data, ",tri,"));
}
