#include "reports/surfaces.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

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

bool closed(const Surface& surface) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, int> balance;
  for (const auto& triangle : surface.triangles)
    for (std::size_t i = 0; i < 3; ++i) {
      const auto from = triangle[i], to = triangle[(i + 1) % 3];
      balance[std::minmax(from, to)] += from < to ? 1 : -1;
    }
  return std::all_of(balance.begin(), balance.end(), [](const auto& edge) { return edge.second == 0; });
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
