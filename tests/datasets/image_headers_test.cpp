// tests/data/headers against what SimpleITK (or, where it cannot, nibabel) reads: scripts/make-header-fixtures.
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/atomic_file.h"
#include "common/hash.h"
#include "common/resources.h"
#include "datasets/images/image.h"
#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

const fs::path kFolder = fs::path(M3D_SOURCE_DIR) / "tests" / "data" / "headers";

nlohmann::json read_records(const fs::path& file) { return nlohmann::json::parse(read_file(file)); }

/// nibabel keeps float64 where ITK, and so we, have float32.
bool close(double found, double expected, bool exact) {
  return std::abs(found - expected) <= (exact ? 1e-12 : 1e-6) * std::max(1.0, std::abs(expected));
}

/// Along x, y, z as the record has them; a record of two axes says nothing about the third.
void check_geometry(const Geometry& geometry, const nlohmann::json& record) {
  const auto all = record.at("size").size(), axes = std::min<std::size_t>(all, 3);
  const bool exact = record.at("reader") == "SimpleITK";
  for (std::size_t i = 0; i < axes; ++i) {
    CHECK(geometry.shape[2 - i] == record["size"][i].get<std::int64_t>());
    CHECK(close(geometry.spacing_mm[2 - i], record["spacing"][i].get<double>(), exact));
    CHECK(close(geometry.origin_mm[i], record["origin"][i].get<double>(), exact));
    const std::size_t columns = record["direction"].size() == 9 ? 3 : all;
    for (std::size_t j = 0; j < axes; ++j)
      CHECK(close(geometry.direction[3 * i + j], record["direction"][columns * i + j].get<double>(), exact));
  }
  if (axes == 2) {
    CHECK(geometry.shape[0] == 1);
    CHECK(geometry.spacing_mm[0] == 999 * std::max(geometry.spacing_mm[1], geometry.spacing_mm[2]));
  }
}

}  // namespace

TEST_CASE("headers of the wild are read as SimpleITK reads them") {
  const auto records = read_records(kFolder / "expected.json");
  for (const auto& [name, record] : records.items()) {
    INFO(name);
    // Ours to repair or to refuse; not to be read as it stands: see the next test.
    if (record.contains("refused") || name == "not_a_quaternion.nii") continue;
    std::vector<ImageF> channels;
    REQUIRE_NOTHROW(channels = read_channels(kFolder / name));
    CHECK(channels.size() == (record["size"].size() == 4 ? record["size"][3].get<std::size_t>() : 1));
    std::vector<float> voxels;
    for (const ImageF& channel : channels) {
      check_geometry(channel.geometry, record);
      voxels.insert(voxels.end(), channel.voxels.begin(), channel.voxels.end());
    }
    CHECK(voxels == record["voxels"].get<std::vector<float>>());
    check_geometry(read_geometry(kFolder / name), record);
  }
}

TEST_CASE("real volumes are read as SimpleITK reads them") {
  const fs::path real = reference_folder() / "real";
  if (!fs::is_directory(real)) {
    WARN("skipped: " << real << " is absent");
    return;
  }
  const auto records = read_records(kFolder.parent_path() / "real_volumes.json");
  for (const auto& [name, record] : records.items()) {
    INFO(name);
    const ImageF image = read_image(real / name);
    check_geometry(image.geometry, record);
    const std::string_view bytes(reinterpret_cast<const char*>(image.voxels.data()),
                                 image.voxels.size() * sizeof(float));
    char hash[17];
    std::snprintf(hash, sizeof hash, "%016lx", static_cast<unsigned long>(fnv1a64(bytes)));
    CHECK(std::string(hash) == record["fnv1a64"].get<std::string>());
  }
}

TEST_CASE("what SimpleITK refuses is repaired where it is slight, else refused with advice") {
  const Geometry repaired = read_geometry(kFolder / "sheared_sform_only.nii");
  const Geometry straight = read_geometry(kFolder / "sform_only.nii");
  for (std::size_t i = 0; i < 9; ++i) CHECK(std::abs(repaired.direction[i] - straight.direction[i]) < 0.003);
  CHECK(repaired.spacing_mm == straight.spacing_mm);
  CHECK_THAT(error_of([] { read_image(kFolder / "sheared_strongly.nii"); }), Contains("right angles"));
  CHECK_THAT(error_of([] { read_image(kFolder / "singular_sform.nii"); }), Contains("singular"));
  CHECK_THAT(error_of([] { read_image(kFolder / "not_a_quaternion.nii"); }), Contains("not_a_quaternion.nii"));
}

TEST_CASE("a file with channels is no 3D image") {
  CHECK_THAT(error_of([] { read_image(kFolder / "channels.nii.gz"); }), Contains("2 volumes"));
  CHECK(read_channels(kFolder / "one_slice.nii").size() == 1);
}

TEST_CASE("either file of a pair names the image") {
  CHECK(read_image(kFolder / "pair.img").voxels == read_image(kFolder / "pair.hdr").voxels);
}

TEST_CASE("every format that is written comes back") {
  const TemporaryFolder folder;
  auto labels = make_image<std::int16_t>({3, 4, 5}, [](std::int64_t i) { return i % 4; });
  auto image = make_image<float>({3, 4, 5}, [](std::int64_t i) { return i * 0.37 - 5; });
  const double c = std::cos(0.3), s = std::sin(0.3);
  for (const char* ending : {".nii", ".nii.gz", ".mha", ".nrrd", ".gipl"}) {
    INFO(ending);
    const bool turned = std::string(ending) != ".gipl";  // has no direction
    image.geometry.direction =
        labels.geometry.direction = {turned ? c : 1, turned ? -s : 0, 0, turned ? s : 0, turned ? c : 1, 0, 0, 0, 1};
    const fs::path file = folder.path / (std::string("image") + ending);
    write_image(file, image);
    CHECK(read_image(file).voxels == image.voxels);
    CHECK(same_geometry(read_geometry(file), image.geometry));
    write_labels(file, labels);
    CHECK(read_labels(file).voxels == labels.voxels);
    CHECK(same_geometry(read_geometry(file), labels.geometry));
  }
  CHECK_THAT(error_of([&] { write_image(folder.path / "image.png", image); }), Contains("image.png"));
}
