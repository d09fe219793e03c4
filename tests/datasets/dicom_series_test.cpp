// tests/data/headers/series: four CT slices 2.5 mm apart, named against their order (scripts/make-header-fixtures).
#include "datasets/images/image.h"
#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

/// A copy of the series, to be broken.
struct Series : TemporaryFolder {
  Series() { fs::copy(fs::path(M3D_SOURCE_DIR) / "tests" / "data" / "headers" / "series", path); }
  fs::path slice(int number) const { return path / ("slice" + std::to_string(number) + ".dcm"); }
  /// Replaces text by text of the same length (DICOM's fields have their length written before them).
  void replace(int number, const std::string& old, const std::string& text) const {
    std::string bytes = read_file(slice(number));
    REQUIRE(old.size() == text.size());
    REQUIRE(bytes.find(old) != std::string::npos);
    bytes.replace(bytes.find(old), old.size(), text);
    write_atomically(slice(number), std::string_view(bytes));
  }
  std::string error() const {
    return error_of([&] { read_image(path); });
  }
};

const std::string kSeries = "1.2.826.0.1.3680043.2.1125.8";

}  // namespace

TEST_CASE("a series is put in order by position; other files in its folder do not matter") {
  const Series series;
  write_atomically(series.path / "notes.txt", std::string_view("scanned on a Monday" + std::string(200, '.')));
  const ImageF image = read_image(series.path);
  CHECK(image.shape() == Shape3{4, 4, 5});
  for (std::int64_t z = 0; z < 4; ++z) CHECK(image.at(z, 0, 0) == static_cast<float>(13 * z));  // stored 1024 higher
  CHECK(image.geometry.spacing_mm[0] == Approx(2.5));
}

TEST_CASE("mixed series, gaps, duplicates and unlike slices are refused by name") {
  SECTION("two series") {
    const Series series;
    series.replace(1, kSeries, "1.2.826.0.1.3680043.2.1125.4");
    CHECK_THAT(series.error(), Contains("2 series are mixed") && Contains("slice1.dcm") && Contains("slice0.dcm"));
  }
  SECTION("a gap") {
    const Series series;
    fs::remove(series.slice(1));
    CHECK_THAT(series.error(), Contains("slice2.dcm and slice0.dcm are 5 mm apart"));
  }
  SECTION("a duplicate") {
    const Series series;
    fs::copy_file(series.slice(2), series.path / "again.dcm");
    CHECK_THAT(series.error(), Contains("again.dcm and slice2.dcm lie at the same place") ||
                                   Contains("slice2.dcm and again.dcm lie at the same place"));
  }
  SECTION("another orientation") {
    const Series series;
    series.replace(2, ".3411847467", ".3511847467");
    CHECK_THAT(series.error(), Contains("differ in orientation") || Contains("slice2.dcm"));
  }
  SECTION("another voxel spacing") {
    const Series series;
    series.replace(2, ".5\\.75", ".5\\.85");
    CHECK_THAT(series.error(), Contains("slice3.dcm and slice2.dcm differ in voxel spacing") ||
                                   Contains("slice2.dcm differ in voxel spacing"));
  }
  SECTION("a voxel spacing of zero") {
    const Series series;
    for (int i = 0; i < 4; ++i) series.replace(i, ".5\\.75", ".0\\.75");
    CHECK_THAT(series.error(), Contains("spacing"));
  }
  SECTION("axes that are not at right angles") {
    const Series series;
    for (int i = 0; i < 4; ++i) series.replace(i, "-.354694047", "+.354694047");
    CHECK_THAT(series.error(), Contains("right angles"));
  }
  SECTION("more voxels than the file can hold") {
    const Series series;
    series.replace(1, {"(\0\x10\0\x02\0\0\0\4\0", 10}, {"(\0\x10\0\x02\0\0\0\xff\xff", 10});
    series.replace(1, {"(\0\x11\0\x02\0\0\0\5\0", 10}, {"(\0\x11\0\x02\0\0\0\xff\xff", 10});
    CHECK_THAT(series.error(), Contains("slice1.dcm") && Contains("more voxels than"));
  }
  SECTION("colours") {
    const Series series;
    series.replace(1, {"(\0\x02\0\x02\0\0\0\1\0", 10}, {"(\0\x02\0\x02\0\0\0\3\0", 10});
    series.replace(1, "MONOCHROME2 ", "RGB         ");
    CHECK_THAT(series.error(), Contains("slice1.dcm") && Contains("one value a voxel"));
  }
  SECTION("another format") {
    const Series series;
    write_atomically(series.slice(1), std::string_view(std::string(1000, 'x')));
    CHECK_THAT(series.error(), Contains("slice1.dcm: not a DICOM file"));
  }
  SECTION("no slices") {
    const Series series;
    for (int i = 0; i < 4; ++i) fs::remove(series.slice(i));
    CHECK_THAT(series.error(), Contains("no DICOM files"));
  }
  SECTION("a slice that is cut off") {
    const Series series;
    const std::string bytes = read_file(series.slice(1));
    write_atomically(series.slice(1), std::string_view(bytes).substr(0, 100));
    CHECK_THAT(series.error(), Contains("slice1.dcm") && Contains("cut off"));
    write_atomically(series.slice(1), std::string_view(bytes).substr(0, bytes.size() - 20));
    CHECK_THAT(series.error(), Contains("slice1.dcm"));
  }
}
