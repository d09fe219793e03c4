// What both phantoms promise as datasets: determinism, classes, geometry, intensities and noise.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "common/error.h"
#include "common/hash.h"
#include "phantom_cases.h"
#include "tests/catch.h"

using namespace m3d;
using Catch::Matchers::Contains;

namespace {

template <class T>
std::uint64_t hash_of(const std::vector<T>& values) {
  return fnv1a64({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
}

std::vector<std::uint64_t> hashes_of(const PhantomCase& phantom) {
  std::vector<std::uint64_t> hashes = {hash_of(phantom.labels.voxels)};
  for (const ImageF& channel : phantom.channels) hashes.push_back(hash_of(channel.voxels));
  return hashes;
}

std::map<int, std::int64_t> volumes_of(const LabelImage& labels) {
  std::map<int, std::int64_t> volumes;
  for (const std::int16_t label : labels.voxels) ++volumes[label];
  return volumes;
}

std::vector<int> label_values(const std::string& name) {
  std::set<int> values;
  const Json json = phantom_dataset_json(name);
  for (const auto& [class_name, value] : json["labels"].items()) {
    for (const Json& one : value.is_array() ? value : Json::array({value})) values.insert(one.get<int>());
  }
  return {values.begin(), values.end()};
}

double mean_of_class(const std::string& name, const std::string& class_name, std::size_t channel) {
  const PhantomCase& phantom = all_cases(name).front();
  const int label = label_of(name, class_name);
  return mean_where(phantom.channels[channel],
                    [&](const Voxel& v) { return phantom.labels.at(v[0], v[1], v[2]) == label; });
}

bool is_oblique(const Geometry& geometry) {
  return std::any_of(geometry.direction.begin(), geometry.direction.end(),
                     [](double value) { return std::abs(value) > 1e-3 && std::abs(value) < 0.999; });
}

double row_product(const std::array<double, 9>& m, std::size_t i, std::size_t j) {
  return m[3 * i] * m[3 * j] + m[3 * i + 1] * m[3 * j + 1] + m[3 * i + 2] * m[3 * j + 2];
}

}  // namespace

TEST_CASE("A phantom case has the same bits at every call, and no two cases are alike") {
  for (const std::string& name : phantom_names()) {
    const auto& cases = all_cases(name);
    CHECK(hashes_of(make_phantom_case(name, 3)) == hashes_of(cases[3]));
    std::set<std::vector<std::uint64_t>> different;
    for (const PhantomCase& phantom : cases) different.insert(hashes_of(phantom));
    CHECK(different.size() == 20);
    CHECK(cases[0].id < cases[1].id);
  }
  CHECK_THROWS_WITH(make_phantom_case("phantom_mr", 0), Contains("phantom_mri"));
}

TEST_CASE("Every case of a phantom has every class, and every class has different volumes") {
  for (const std::string& name : phantom_names()) {
    for (const int label : label_values(name)) {
      std::set<std::int64_t> volumes;
      for (const PhantomCase& phantom : all_cases(name)) volumes.insert(volumes_of(phantom.labels)[label]);
      INFO(name << " label " << label);
      CHECK(*volumes.begin() > 0);
      CHECK(volumes.size() >= 3);
    }
  }
}

TEST_CASE("Phantoms have no other labels than dataset.json's, and one geometry a case") {
  for (const std::string& name : phantom_names()) {
    const auto values = label_values(name);
    for (const PhantomCase& phantom : all_cases(name)) {
      CHECK(volumes_of(phantom.labels).size() == values.size());
      CHECK(volumes_of(phantom.labels).rbegin()->first == values.back());
      CHECK(phantom.channels.size() == phantom_dataset_json(name)["channel_names"].size());
      for (const ImageF& channel : phantom.channels) CHECK(same_geometry(channel.geometry, phantom.labels.geometry));
    }
  }
}

TEST_CASE("dataset.json of the phantoms is what nnU-Net expects, and groups hold every class once") {
  for (const std::string& name : phantom_names()) {
    const Json json = phantom_dataset_json(name);
    CHECK(json["labels"]["background"] == 0);
    CHECK(json["numTraining"] == 20);
    CHECK(json["file_ending"] == ".nii.gz");
    std::multiset<std::string> grouped, classes;
    const auto descriptor = YamlDocument::load(std::string(M3D_SOURCE_DIR) + "/datasets/descriptors/" + name + ".yaml");
    for (const auto& [group, members] : descriptor.root()["groups"].items()) {
      for (const Json& member : members) grouped.insert(member.get<std::string>());
    }
    for (const auto& [class_name, value] : json["labels"].items()) {
      if (class_name != "background") classes.insert(class_name);
    }
    CHECK(grouped == classes);
  }
  const Json mri = phantom_dataset_json("phantom_mri");
  CHECK(mri["labels"]["whole_tumour"] == Json({1, 2, 3}));
  CHECK(mri["labels"]["tumour_core"] == Json({2, 3}));
  CHECK(mri["regions_class_order"].size() == mri["labels"].size() - 1);
  CHECK(mri["channel_names"] == Json({{"0", "T1"}, {"1", "T1CE"}, {"2", "T2"}, {"3", "FLAIR"}}));
  CHECK_FALSE(phantom_dataset_json("phantom_ct").contains("regions_class_order"));
  CHECK(phantom_dataset_json("phantom_ct")["channel_names"] == Json({{"0", "CT"}}));
}

TEST_CASE("phantom_ct has thick slices, and oblique directions in some cases only") {
  int oblique = 0;
  for (const PhantomCase& phantom : all_cases("phantom_ct")) {
    const Geometry& geometry = phantom.labels.geometry;
    CHECK(geometry.spacing_mm[0] / geometry.spacing_mm[1] > 2.5);
    oblique += is_oblique(geometry);
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < 3; ++j) {
        CHECK(row_product(geometry.direction, i, j) == Approx(i == j ? 1 : 0).margin(1e-12));
      }
    }
  }
  CHECK(oblique >= 3);
  CHECK(oblique <= 12);
}

TEST_CASE("phantom_ct is in Hounsfield units") {
  const auto mean = [](const char* organ) { return mean_of_class("phantom_ct", organ, 0); };
  CHECK(mean("lungs") < -700);
  CHECK(mean("liver") == Approx(110).margin(25));
  CHECK(mean("bladder") == Approx(-8).margin(30));
  CHECK(mean("aorta") > 220);
  CHECK(mean("vertebrae") > 300);
  CHECK(mean("ribs") > 400);
  const ImageF& image = all_cases("phantom_ct").front().channels[0];
  const double corner = mean_where(image, [](const Voxel& v) { return v[1] < 4 && v[2] < 4; });
  CHECK(corner == Approx(-1000).margin(5));
  CHECK(*std::min_element(image.voxels.begin(), image.voxels.end()) >= -1024);
}

TEST_CASE("Organs of phantom_ct differ in width by a factor of ten and more") {
  const PhantomCase& phantom = all_cases("phantom_ct").front();
  const auto widest_run = [&](const std::string& organ, bool longest) {
    const int label = label_of("phantom_ct", organ);
    std::vector<int> runs;
    int run = 0;
    for_each_voxel(phantom.labels.shape(), [&](const Voxel& v) {
      const bool inside = phantom.labels.at(v[0], v[1], v[2]) == label;
      if (!inside && run > 0) runs.push_back(run);
      run = inside ? run + 1 : 0;
    });
    std::sort(runs.begin(), runs.end());
    return longest ? runs.back() : runs[runs.size() / 2];
  };
  const int vessels = widest_run("hepatic_vessels", false);
  CHECK(vessels <= 3);
  CHECK(widest_run("liver", true) + widest_run("hepatic_vessels", true) >= 10 * vessels);
}

TEST_CASE("The air of phantom_mri has Rayleigh statistics, as magnitude images do") {
  // Mean over standard deviation of a Rayleigh variable: sqrt(pi / (4 - pi)).
  const double expected = std::sqrt(M_PI / (4 - M_PI));
  for (const ImageF& channel : all_cases("phantom_mri").front().channels) {
    double sum = 0, squares = 0, count = 0;
    for_each_voxel(channel.shape(), [&](const Voxel& v) {
      if (v[1] != 0) return;
      const double value = channel.at(v[0], v[1], v[2]);
      sum += value, squares += value * value, ++count;
    });
    const double mean = sum / count;
    CHECK(mean > 0);
    CHECK(mean / std::sqrt(squares / count - mean * mean) == Approx(expected).epsilon(0.06));
  }
}

TEST_CASE("phantom_mri has a bias field: the same tissue is brighter in one part than in another") {
  const int white = label_of("phantom_mri", "white_matter");
  int clear = 0;
  for (int index = 0; index < 5; ++index) {
    const PhantomCase& phantom = all_cases("phantom_mri")[static_cast<std::size_t>(index)];
    for (const ImageF& channel : phantom.channels) {
      std::array<double, 8> sum{}, count{};
      for_each_voxel(channel.shape(), [&](const Voxel& v) {
        if (phantom.labels.at(v[0], v[1], v[2]) != white) return;
        std::size_t octant = 0;
        for (std::size_t k = 0; k < 3; ++k) octant = 2 * octant + (2 * v[k] > channel.shape()[k]);
        sum[octant] += channel.at(v[0], v[1], v[2]);
        ++count[octant];
      });
      for (std::size_t octant = 0; octant < 8; ++octant) sum[octant] /= count[octant];
      const auto [low, high] = std::minmax_element(sum.begin(), sum.end());
      clear += *high / *low > 1.05;
    }
  }
  CHECK(clear >= 15);  // of 5 cases in 4 contrasts
}

TEST_CASE("Lesions of phantom_mri are nested: necrosis in enhancing tumour in edema") {
  for (const PhantomCase& phantom : all_cases("phantom_mri")) {
    const LabelImage& labels = phantom.labels;
    int dead = 0, enclosed = 0;
    for_each_voxel(labels.shape(), [&](const Voxel& v) {
      if (labels.at(v[0], v[1], v[2]) != 2) return;
      ++dead;
      enclosed += labels.at(v[0], v[1] - 1, v[2]) >= 2 && labels.at(v[0], v[1] + 1, v[2]) <= 3 &&
                  labels.at(v[0], v[1], v[2] - 1) >= 2 && labels.at(v[0], v[1], v[2] + 1) <= 3;
    });
    INFO(phantom.id);
    CHECK(dead > 20);
    CHECK(enclosed == dead);
  }
}
