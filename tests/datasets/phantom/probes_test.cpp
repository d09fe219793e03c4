// The three controlled difficulties are what they say: measured on images and label maps, not read from the design.
#include <algorithm>
#include <cmath>

#include "phantom_cases.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

/// Mean over the 3×3×3 voxels around a centre, all channels together.
double brightness(const PhantomCase& phantom, const std::array<double, 3>& centre) {
  const std::int64_t d = std::lround(centre[0]), h = std::lround(centre[1]), w = std::lround(centre[2]);
  double sum = 0;
  for (const ImageF& channel : phantom.channels) {
    for_each_voxel({3, 3, 3}, [&](const Voxel& v) { sum += channel.at(d + v[0] - 1, h + v[1] - 1, w + v[2] - 1); });
  }
  return sum / static_cast<double>(27 * phantom.channels.size());
}

int label_at(const PhantomCase& phantom, const std::array<double, 3>& centre) {
  return phantom.labels.at(std::lround(centre[0]), std::lround(centre[1]), std::lround(centre[2]));
}

/// Width of the disc that has the area of the largest slice of any component, in pixels.
double width_in_plane(const PhantomCase& phantom, int label) {
  double largest = 0;
  for (const auto& component : components(phantom.labels, label)) {
    std::map<std::int64_t, double> areas;
    for (const Voxel& v : component) largest = std::max(largest, ++areas[v[0]]);
  }
  return 2 * std::sqrt(largest / M_PI);
}

/// Unit direction in which a component extends farthest (mm), by power iteration on its covariance.
std::array<double, 3> principal_axis(const std::vector<Voxel>& component, const std::array<double, 3>& spacing) {
  std::array<double, 3> mean{}, axis = {1, 0.9, 1.1};
  std::array<std::array<double, 3>, 3> covariance{};
  for (const Voxel& v : component) {
    for (std::size_t k = 0; k < 3; ++k) mean[k] += static_cast<double>(v[k]) / static_cast<double>(component.size());
  }
  for (const Voxel& v : component) {
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < 3; ++j) {
        covariance[i][j] +=
            (static_cast<double>(v[i]) - mean[i]) * spacing[i] * (static_cast<double>(v[j]) - mean[j]) * spacing[j];
      }
    }
  }
  for (int step = 0; step < 50; ++step) {
    std::array<double, 3> next{};
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < 3; ++j) next[i] += covariance[i][j] * axis[j];
    }
    const double norm = std::sqrt(next[0] * next[0] + next[1] * next[1] + next[2] * next[2]);
    for (std::size_t k = 0; k < 3; ++k) axis[k] = next[k] / norm;
  }
  return axis;
}

}  // namespace

TEST_CASE("long_range: the far beacon alone tells the class of a marker, and tells it with certainty") {
  for (const std::string& name : phantom_names()) {
    std::map<std::string, std::vector<double>> beacons, markers;
    for (const PhantomCase& phantom : all_cases(name)) {
      for (const PhantomLane& lane : phantom.lanes) {
        CHECK(label_at(phantom, lane.marker) == label_of(name, lane.marker_class));
        CHECK(label_at(phantom, lane.beacon) == 0);
        beacons[lane.marker_class].push_back(brightness(phantom, lane.beacon));
        markers[lane.marker_class].push_back(brightness(phantom, lane.marker));
      }
    }
    auto& dark = beacons["marker_a"];
    auto& bright = beacons["marker_b"];
    CHECK(dark.size() == bright.size());
    CHECK(*std::max_element(dark.begin(), dark.end()) + 400 < *std::min_element(bright.begin(), bright.end()));
    const auto spread = [](std::vector<double> values) {
      std::sort(values.begin(), values.end());
      return std::make_pair(values[values.size() / 4], values[values.size() * 3 / 4]);
    };
    const auto a = spread(markers["marker_a"]), b = spread(markers["marker_b"]);
    INFO(name << ": quartiles of the markers' intensities overlap");
    CHECK(a.first < b.second);
    CHECK(b.first < a.second);
  }
}

TEST_CASE("long_range: 30 and more voxels lie between marker and beacon, and 64 hold both") {
  for (const std::string& name : phantom_names()) {
    for (const PhantomCase& phantom : all_cases(name)) {
      CHECK(phantom.lanes.size() == 4);
      CHECK(std::count_if(phantom.lanes.begin(), phantom.lanes.end(),
                          [](const PhantomLane& lane) { return lane.marker_class == "marker_a"; }) == 2);
      const double last_start = static_cast<double>(phantom.labels.shape()[1] - 64);
      for (const PhantomLane& lane : phantom.lanes) {
        INFO(phantom.id << " " << lane.marker[1] << " " << lane.beacon[1]);
        CHECK(lane.beacon[1] - lane.marker[1] >= 30);
        CHECK(lane.beacon[1] <= 60);
        CHECK(lane.marker[1] >= last_start);
        CHECK(std::abs(lane.beacon[0] - lane.marker[0]) < 3);
        CHECK(std::abs(lane.beacon[2] - lane.marker[2]) < 5);
      }
    }
  }
}

TEST_CASE("multi_scale: equal intensity, the largest ten times as wide as the smallest") {
  for (const std::string& name : phantom_names()) {
    const int small = label_of(name, "sphere_small"), medium = label_of(name, "sphere_medium"),
              large = label_of(name, "sphere_large");
    for (const PhantomCase& phantom : all_cases(name)) {
      INFO(phantom.id);
      CHECK(width_in_plane(phantom, large) >= 10 * width_in_plane(phantom, small));
      CHECK(width_in_plane(phantom, medium) >= 2.5 * width_in_plane(phantom, small));
      CHECK(width_in_plane(phantom, large) >= 2.5 * width_in_plane(phantom, medium));
      CHECK(components(phantom.labels, small).size() >= 6);
      CHECK(components(phantom.labels, large).size() == 1);
    }
  }
}

TEST_CASE("direction: rods lie along the axis that names them and are equally long and bright") {
  const std::vector<std::string> classes = {"rod_depth", "rod_height", "rod_width"};
  for (const std::string& name : phantom_names()) {
    std::vector<double> volumes(3);
    for (const PhantomCase& phantom : all_cases(name)) {
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const auto rods = components(phantom.labels, label_of(name, classes[axis]));
        INFO(phantom.id << " " << classes[axis]);
        CHECK(rods.size() == 3);
        for (const auto& rod : rods) {
          CHECK(std::abs(principal_axis(rod, phantom.labels.geometry.spacing_mm)[axis]) > 0.95);
          volumes[axis] += static_cast<double>(rod.size());
        }
      }
    }
    const auto [least, most] = std::minmax_element(volumes.begin(), volumes.end());
    CHECK(*most / *least < 1.35);
  }
}
