#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "common/random.h"
#include "common/resources.h"
#include "datasets/images/gzip_file.h"
#include "datasets/images/image.h"
#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"
#include "tests/full_disk.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

/// Overwrites the NIfTI header's sform by `rows` (RAS, without translation) and drops the qform.
void set_sform(const fs::path& file, const float (&rows)[3][3]) {
  std::string bytes = read_file(file);
  const std::int16_t none = 0, scanner = 1;
  std::memcpy(bytes.data() + 252, &none, 2);
  std::memcpy(bytes.data() + 254, &scanner, 2);
  for (std::size_t r = 0; r < 3; ++r) std::memcpy(bytes.data() + 280 + 16 * r, rows[r], 12);
  write_atomically(file, std::string_view(bytes));
}

ImageF counting_image() {
  return make_image<float>({3, 4, 5}, [](std::int64_t i) { return i * 0.5 - 7; });
}

}  // namespace

TEST_CASE("an image comes back with its voxels and its oblique geometry") {
  const TemporaryFolder folder;
  ImageF image = counting_image();
  const double c = std::cos(0.3), s = std::sin(0.3);
  image.geometry.direction = {c, -s, 0, s, c, 0, 0, 0, -1};  // turned and mirrored
  for (const char* name : {"image.nii", "image.nii.gz"}) {
    write_image(folder.path / name, image);
    const ImageF back = read_image(folder.path / name);
    CHECK(back.voxels == image.voxels);
    INFO(describe(back.geometry));
    CHECK(same_geometry(back.geometry, image.geometry));
    CHECK(back.geometry.spacing_mm[1] == static_cast<double>(0.8F));
    CHECK(same_geometry(read_geometry(folder.path / name), image.geometry));
  }
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 2);
}

TEST_CASE("geometries differ by shape, spacing, origin or direction") {
  const Geometry geometry = counting_image().geometry;
  Geometry other = geometry;
  CHECK(same_geometry(geometry, other));
  other.spacing_mm[2] *= 1.01;
  CHECK_FALSE(same_geometry(geometry, other));
  other = geometry;
  other.origin_mm[0] += 0.1;
  CHECK_FALSE(same_geometry(geometry, other));
  other = geometry;
  other.direction[0] = -1;
  CHECK_FALSE(same_geometry(geometry, other));
  other = geometry;
  other.shape[0] += 1;
  CHECK_FALSE(same_geometry(geometry, other));
}

TEST_CASE("labels are written as uint8, or uint16 from 255 on, and come back") {
  const TemporaryFolder folder;
  const fs::path file = folder.path / "labels.nii";
  for (const int largest : {254, 255, 3000}) {
    const auto labels = make_image<std::int16_t>({2, 3, 4}, [&](std::int64_t i) { return i == 7 ? largest : i % 3; });
    write_labels(file, labels);
    CHECK(read_labels(file).voxels == labels.voxels);
    CHECK(fs::file_size(file) == 352 + (largest < 255 ? 24 : 48));
  }
}

TEST_CASE("an image that the disk has no room for is refused and leaves nothing, in every format") {
  const TemporaryFolder folder;
  RandomStream random(4, "voxels");
  const ImageF image = make_image<float>({8, 16, 16}, [&](std::int64_t) { return random.normal(); });
  write_image(folder.path / "plain.nii", image);
  for (const char* name : {"x.nii", "x.nii.gz", "x.mha", "x.nrrd", "x.gipl"}) {
    INFO(name);
    {
      const FullDisk full(4000);
      CHECK_THROWS_AS(write_image(folder.path / name, image), RunError);
    }
    CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
  }
  const FullDisk full(4000);
  CHECK_THROWS_AS(gzip_file(folder.path / "plain.nii", folder.path / "x.nii.gz"), RunError);
}

TEST_CASE("label maps with fractions are refused") {
  const TemporaryFolder folder;
  write_image(folder.path / "x.nii.gz", counting_image());
  CHECK_THAT(error_of([&] { read_labels(folder.path / "x.nii.gz"); }),
             Contains("x.nii.gz") && Contains("whole number"));
}

TEST_CASE("NaN and infinite voxels are refused with their place") {
  const TemporaryFolder folder;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    ImageF image = counting_image();
    image.at(1, 2, 3) = bad;
    write_image(folder.path / "x.nii.gz", image);
    CHECK_THAT(error_of([&] { read_image(folder.path / "x.nii.gz"); }),
               Contains("x.nii.gz: voxel z=1, y=2, x=3 is NaN or infinite"));
  }
}

TEST_CASE("truncated files are refused, wherever they end") {
  const TemporaryFolder folder;
  const ImageF image = make_image<float>({8, 16, 16}, [](std::int64_t i) { return std::sin(static_cast<double>(i)); });
  write_image(folder.path / "plain.gipl", image);
  for (const char* name : {"whole.nii", "whole.nii.gz", "whole.mha", "whole.nrrd", "whole.gipl", "whole.gipl.gz"}) {
    const bool written = std::string(name) != "whole.gipl.gz";
    written ? write_image(folder.path / name, image) : gzip_file(folder.path / "plain.gipl", folder.path / name);
    REQUIRE(read_image(folder.path / name).voxels == image.voxels);
    const std::string bytes = read_file(folder.path / name);
    const fs::path cut = folder.path / (std::string("cut-") + name);
    for (const std::size_t kept : {std::size_t{0}, std::size_t{100}, bytes.size() / 2, bytes.size() - 3}) {
      write_atomically(cut, std::string_view(bytes).substr(0, kept));
      INFO(name << " cut to " << kept << " bytes");
      CHECK_THAT(error_of([&] { read_image(cut); }),
                 Contains(cut.string()) && (Contains("truncated") || Contains("cut off") || Contains("of its header")));
    }
  }
}

TEST_CASE("what is no 3D NIfTI image is refused") {
  const TemporaryFolder folder;
  CHECK_THAT(error_of([&] { read_image(folder.path / "none.nii.gz"); }), Contains("no such file"));
  write_atomically(folder.path / "text.nii.gz", std::string_view(std::string(4000, 'x')));
  CHECK_THAT(error_of([&] { read_image(folder.path / "text.nii.gz"); }), Contains("not a NIfTI image"));
  write_atomically(folder.path / "photo.png", std::string_view("x"));
  CHECK_THAT(error_of([&] { read_image(folder.path / "photo.png"); }), Contains("expected NIfTI"));

  write_image(folder.path / "flat.nii", counting_image());
  std::string bytes = read_file(folder.path / "flat.nii");
  const std::int16_t four[] = {4, 5, 4, 1, 3};  // x, y, z, t: a series of three images
  std::memcpy(bytes.data() + 40, four, sizeof four);
  write_atomically(folder.path / "flat.nii", std::string_view(bytes));
  CHECK_THAT(error_of([&] { read_image(folder.path / "flat.nii"); }), Contains("expected a 3D image"));
}

TEST_CASE("a slightly sheared header is repaired, a strongly sheared one refused") {
  const TemporaryFolder folder;
  const fs::path file = folder.path / "sheared.nii";
  const ImageF image = counting_image();
  write_image(file, image);
  const float little[3][3] = {{-0.9F, 0.0016F, 0}, {0, -0.8F, 0}, {0, 0, 2}};
  set_sform(file, little);
  const ImageF repaired = read_image(file);
  INFO(describe(repaired.geometry));
  CHECK(repaired.voxels == image.voxels);
  const auto& d = repaired.geometry.direction;
  for (std::size_t a = 0; a < 3; ++a)
    for (std::size_t b = 0; b < 3; ++b)
      CHECK(d[a] * d[b] + d[3 + a] * d[3 + b] + d[6 + a] * d[6 + b] == Approx(a == b ? 1 : 0).margin(1e-6));
  CHECK(std::abs(d[0]) == Approx(1).margin(1e-3));
  CHECK(repaired.geometry.spacing_mm[2] == Approx(0.9).epsilon(1e-4));
  CHECK(same_geometry(read_geometry(file), repaired.geometry));

  const float strong[3][3] = {{-0.9F, 0.2F, 0}, {0, -0.8F, 0}, {0, 0, 2}};
  set_sform(file, strong);
  CHECK_THAT(error_of([&] { read_image(file); }), Contains("sheared.nii") && Contains("right angles"));
}

TEST_CASE("real CT and MR volumes and their labels are read with one geometry") {
  const fs::path real = reference_folder() / "real";
  if (!fs::is_directory(real)) {
    WARN("skipped: " << real << " is absent");
    return;
  }
  const struct {
    const char *image, *labels;
    Shape3 shape;
    float minimum, maximum;
    std::int16_t liver;
    std::int64_t liver_voxels;
  } pairs[] = {{"example_ct_sm.nii.gz", "example_seg.nii.gz", {30, 101, 122}, -1100, 1207, 5, 38634},
               {"example_ct.nii.gz", "example_seg_fast_force_split.nii.gz", {112, 101, 122}, -1207, 3382, 5, 41692},
               {"example_mr_sm.nii.gz", "example_seg_mr.nii.gz", {20, 91, 117}, -47, 833, 0, 0}};
  for (const auto& pair : pairs) {
    INFO(pair.image);
    const ImageF image = read_image(real / pair.image);
    const LabelImage labels = read_labels(real / pair.labels);
    CHECK(image.shape() == pair.shape);
    CHECK(same_geometry(image.geometry, labels.geometry));
    CHECK(image.geometry.spacing_mm == std::array<double, 3>{3, 3, 3});
    const auto [low, high] = std::minmax_element(image.voxels.begin(), image.voxels.end());
    CHECK(*low == pair.minimum);
    CHECK(*high == pair.maximum);
    if (pair.liver != 0) CHECK(std::count(labels.voxels.begin(), labels.voxels.end(), pair.liver) == pair.liver_voxels);
  }
}
