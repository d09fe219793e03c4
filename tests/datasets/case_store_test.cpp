#include "datasets/storage/case_store.h"

#include <cstring>
#include <fstream>
#include <numeric>
#include <thread>

#include "common/random.h"
#include "datasets/sampling/patch_sampler.h"
#include "datasets/storage/blosc_array.h"
#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"
#include "tests/full_disk.h"

using namespace m3d;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

const fs::path kMadeByNnunet = fs::path(M3D_SOURCE_DIR) / "tests/data/preprocessed";
const std::vector<std::vector<int>> kClasses = {{2}, {1, 2}, {3}, {4}};

/// A copy that may be broken.
fs::path copy_of_fixture(const test::TemporaryFolder& folder) {
  const fs::path copy = folder.path / "nnUNetPlans_3d_fullres";
  fs::copy(kMadeByNnunet, copy);
  return copy;
}

PreparedCase random_case(const std::string& id, const Shape3& shape, std::int64_t channels) {
  PreparedCase one;
  one.id = id;
  one.shape = shape;
  one.channels = channels;
  RandomStream random(3, id);
  for (std::int64_t i = 0; i < channels * voxel_count(shape); ++i)
    one.image.push_back(static_cast<float>(random.normal()));
  for (std::int64_t i = 0; i < voxel_count(shape); ++i)
    one.labels.push_back(static_cast<std::int16_t>(random.integer(-1, 300)));
  one.class_locations = {{5, 77, 12}, {}};
  return one;
}

CaseProperties properties_of(const PreparedCase& one) {
  CaseProperties properties;
  properties.original.spacing_mm = {2.5, 0.7, 0.8};
  properties.original.origin_mm = {-3, 4, 5.5};
  properties.original.direction = {0, 1, 0, -1, 0, 0, 0, 0, 1};
  properties.shape_before_cropping = {50, 60, 70};
  properties.crop_begin = {1, 2, 3};
  properties.crop_end = {31, 42, 53};
  properties.classes = {{1}, {1, 2}};
  properties.class_locations = one.class_locations;
  properties.annotated = {-1, 0, 1, 2};
  properties.annotated_locations = {9, 3};
  return properties;
}

void truncate_by(const fs::path& file, std::uintmax_t bytes) { fs::resize_file(file, fs::file_size(file) - bytes); }

}  // namespace

TEST_CASE("a folder that nnU-Net preprocessed is read as it is", "[case_store]") {
  const CaseStore store(kMadeByNnunet);
  REQUIRE(store.ids() == std::vector<std::string>{"bytes", "plain"});
  const std::string id = GENERATE("plain", "bytes");  // int16 labels; int8 labels and column-major locations
  const PreparedCase one = store.load(id, kClasses);
  REQUIRE(one.shape == Shape3{5, 9, 7});
  REQUIRE(one.channels == 2);
  for (std::int64_t c = 0; c < 2; ++c)
    for (std::int64_t i = 0; i < 5 * 9 * 7; ++i)
      REQUIRE(one.image[static_cast<std::size_t>(c * 315 + i)] ==
              static_cast<float>(1000 * c + 100 * (i / 63) + 10 * (i / 7 % 9) + i % 7));
  CHECK(one.labels[0] == -1);
  CHECK(one.labels[315 - 1] == 2);
  CHECK(std::count(one.labels.begin(), one.labels.end(), 1) == 18);
  CHECK(one.class_locations[0] == std::vector<std::int64_t>{314});
  CHECK(one.class_locations[1].size() == 19);
  CHECK(one.class_locations[1].front() == (1 * 9 + 2) * 7 + 3);
  CHECK(one.class_locations[2].empty());
  CHECK(one.class_locations[3].empty());
  const CaseProperties properties = store.properties(id);
  CHECK(properties.original.spacing_mm == std::array{2.0, 0.5, 0.75});
  CHECK(properties.original.origin_mm == std::array{-1.0, 2.5, 30.0});
  CHECK(properties.shape_before_cropping == Shape3{6, 11, 9});
  CHECK(properties.crop_begin == Shape3{0, 2, 1});
  CHECK(properties.crop_end == Shape3{5, 11, 8});
}

TEST_CASE("what is written is read again, whole and in parts", "[case_store]") {
  const test::TemporaryFolder folder;
  const PreparedCase one = random_case("a", {30, 40, 50}, 3);
  const CaseProperties written = properties_of(one);
  {
    const CaseWriter writer(folder.path / "cases", "plan", {16, 16, 16});
    CHECK(!is_complete_case(folder.path / "cases", "a"));
    writer.write(one, written);
    CHECK(is_complete_case(folder.path / "cases", "a"));
  }
  const CaseStore store(folder.path / "cases", "plan");
  const PreparedCase again = store.load("a", written.classes);
  CHECK(again.image == one.image);
  CHECK(again.labels == one.labels);
  CHECK(again.class_locations == one.class_locations);
  CHECK(again.annotated_locations == written.annotated_locations);
  const CaseProperties properties = store.properties("a");
  CHECK(properties.classes == written.classes);
  CHECK(properties.annotated == written.annotated);
  CHECK(properties.original.direction == written.original.direction);
  CHECK(properties.crop_end == written.crop_end);
  const auto source = store.source("a", written.classes);
  std::vector<float> image(3 * 11 * 12 * 13, 7);
  std::vector<std::int16_t> labels(11 * 12 * 13, 7);
  source->read({3, 30, 20}, {9, 10, 11}, {image.data(), labels.data(), {11, 12, 13}, {1, 1, 1}});
  CHECK(image[0] == 7);
  CHECK(labels.back() == 7);
  for (std::size_t c = 0; c < 3; ++c)
    CHECK(image[((c * 11 + 9) * 12 + 10) * 13 + 11] == one.image[((c * 30 + 11) * 40 + 39) * 50 + 30]);
  CHECK(labels[(1 * 12 + 1) * 13 + 1] == one.labels[(3 * 40 + 30) * 50 + 20]);
  std::vector<std::string> names;  // nothing beside the cases lies in the folder, as nnU-Net wants it
  for (const auto& entry : fs::directory_iterator(folder.path / "cases")) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"a.b2nd", "a.pkl", "a_seg.b2nd"});
  CHECK(!fs::exists(folder.path / "cases.partial"));
}

TEST_CASE("nibabel's affines and arrays of numbers survive", "[case_store]") {
  const test::TemporaryFolder folder;
  CaseProperties properties = properties_of(random_case("a", {5, 6, 7}, 1));
  properties.class_locations = {{5, 77, 12}, {}};
  properties.affines.emplace();
  std::iota(properties.affines->original.begin(), properties.affines->original.end(), 0.5);
  write_case_properties(folder.path / "a.pkl", properties, {5, 6, 7});
  const CaseProperties again = read_case_properties(folder.path / "a.pkl", {5, 6, 7});
  REQUIRE(again.affines);
  CHECK(again.affines->original == properties.affines->original);
  CHECK(again.class_locations == properties.class_locations);
}

TEST_CASE("patches from the store are those from memory, for any number of threads", "[case_store]") {
  const test::TemporaryFolder folder;
  const CaseWriter writer(folder.path / "cases", "plan", {8, 8, 8});
  std::vector<std::shared_ptr<const PreparedCase>> cases;
  for (const char* id : {"a", "b"}) {
    cases.push_back(std::make_shared<PreparedCase>(random_case(id, {14, 18, 12}, 2)));
    CaseProperties properties = properties_of(*cases.back());
    properties.annotated.clear();
    writer.write(*cases.back(), properties);
  }
  const CaseStore store(folder.path / "cases");
  std::vector<std::shared_ptr<const PatchSource>> sources;
  for (const std::string& id : store.ids()) sources.push_back(store.source(id, {{1}, {1, 2}}));
  const PatchSampler::Options options{.patch = {8, 8, 8}, .augmentation = Augmentation::nnunet};
  const PatchSampler from_memory(cases, options, 1), from_store(sources, options, 1);
  std::vector<Batch> drawn(24);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t step = t; step < drawn.size(); step += 3)
        drawn[step] = from_store.draw(std::ssize(drawn) - 1 - static_cast<std::int64_t>(step));
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t step = 0; step < drawn.size(); ++step) {
    const Batch expected = from_memory.draw(std::ssize(drawn) - 1 - static_cast<std::int64_t>(step));
    REQUIRE(drawn[step].image == expected.image);
    REQUIRE(drawn[step].labels == expected.labels);
  }
}

TEST_CASE("chunks and blocks are those that nnU-Net chooses", "[case_store]") {
  struct Known {
    Shape4 shape;
    std::array<std::int64_t, 3> patch;
    std::int64_t bytes;
    Shape4 chunk, block;
  };
  const std::vector<Known> known = {
      // comp_blosc2_params, nnunetv2 2.8.1
      {{1, 100, 512, 512}, {64, 128, 128}, 4, {1, 64, 192, 128}, {1, 32, 32, 32}},
      {{4, 155, 240, 240}, {128, 128, 128}, 4, {1, 96, 128, 128}, {1, 32, 32, 32}},
      {{1, 155, 240, 240}, {128, 128, 128}, 2, {1, 128, 192, 128}, {1, 32, 64, 32}},
      {{1, 30, 600, 500}, {1, 512, 448}, 4, {1, 1, 600, 500}, {1, 1, 256, 128}},
      {{2, 5, 9, 7}, {4, 4, 4}, 4, {1, 5, 6, 6}, {1, 4, 4, 4}},
      {{1, 123, 423, 645}, {96, 160, 160}, 4, {1, 96, 128, 128}, {1, 32, 32, 32}},
      {{1, 17, 33, 65}, {20, 56, 64}, 2, {1, 17, 33, 65}, {1, 17, 33, 64}},
      {{1, 400, 300, 300}, {160, 96, 112}, 4, {1, 160, 96, 96}, {1, 32, 32, 32}},
  };
  for (const Known& one : known) {
    const BloscLayout layout = blosc_layout(one.shape, one.patch, one.bytes);
    CHECK(layout.chunk == one.chunk);
    CHECK(layout.block == one.block);
  }
}

TEST_CASE("a cache of another plan is refused, and rebuilt on request", "[case_store]") {
  const test::TemporaryFolder folder;
  const fs::path cases = folder.path / "cases";
  const PreparedCase one = random_case("a", {5, 6, 7}, 1);
  CaseProperties properties = properties_of(one);
  CaseWriter(cases, "first", {4, 4, 4}).write(one, properties);
  CHECK_THROWS_WITH(CaseStore(cases, "second"),
                    Contains("another plan (first, wanted second)") && Contains("prepare --rebuild"));
  CHECK_THROWS_AS(CaseWriter(cases, "second", {4, 4, 4}), UserError);
  CHECK(CaseStore(cases, "first").ids().size() == 1);
  const CaseWriter rebuilt(cases, "second", {4, 4, 4}, true);
  CHECK(!is_complete_case(cases, "a"));
  CHECK_THROWS_WITH(CaseStore(cases, "second"), Contains("no preprocessed cases"));
  CHECK_THROWS_WITH(CaseStore(folder.path / "none"), Contains("expected <case>.b2nd"));
  CHECK_THROWS_AS(CaseWriter(copy_of_fixture(folder), "ours", {4, 4, 4}), UserError);  // nnU-Net's is not written to
  CHECK(CaseStore(folder.path / "nnUNetPlans_3d_fullres", "ours").ids().size() == 2);
}

TEST_CASE("what a killed process left is not taken for a case", "[case_store]") {
  const test::TemporaryFolder folder;
  const fs::path cases = folder.path / "cases";
  const CaseWriter writer(cases, "plan", {4, 4, 4});
  const PreparedCase one = random_case("a", {9, 9, 9}, 1);
  const auto write = [&] { writer.write(one, properties_of(one)); };
  write();
  SECTION("before the properties") {
    fs::remove(cases / "a.pkl");
    CHECK(!is_complete_case(folder.path / "cases", "a"));
  }
  SECTION("before the image") {
    fs::remove(cases / "a.b2nd");
    CHECK(!is_complete_case(folder.path / "cases", "a"));
  }
  SECTION("cut off") {
    const std::string file = GENERATE("a.b2nd", "a_seg.b2nd");
    const std::uintmax_t bytes = GENERATE(1, 50, 100);
    truncate_by(cases / file, bytes);
    CHECK(!is_complete_case(folder.path / "cases", "a"));
    const CaseStore store(cases);
    CHECK_THROWS_WITH(store.load("a", {}), Contains(file) && Contains("cut off or damaged"));
  }
  SECTION("in the middle of a file") {
    fs::create_directories(folder.path / "cases.partial");
    std::ofstream(folder.path / "cases.partial" / "a.b2nd") << "half";
  }
  write();
  CHECK(is_complete_case(folder.path / "cases", "a"));
  CHECK(CaseStore(cases).load("a", {}).image == one.image);
}

TEST_CASE("a .b2nd file that is another array than it should be is refused by name", "[case_store]") {
  const test::TemporaryFolder folder;
  const fs::path cases = folder.path / "cases";
  const CaseWriter writer(cases, "plan", {4, 4, 4});
  for (const char* id : {"a", "b"}) {
    const PreparedCase one = random_case(id, {9, 9, *id == 'a' ? 9 : 8}, 1);
    writer.write(one, properties_of(one));
  }
  const auto replace = [&](const char* file, const std::string& content) {
    write_atomically(cases / file, std::string_view(content));
  };
  const std::string whole = read_file(cases / "a.b2nd");
  const auto error = [&] {
    try {
      CaseStore(cases).load("a", {});
    } catch (const RunError& failure) {
      return std::string(failure.what());
    }
    return std::string();
  };
  SECTION("another file") {
    replace("a.b2nd", std::string(500, 'x'));
    CHECK_THAT(error(), Contains("a.b2nd: not a .b2nd file"));
  }
  SECTION("labels in the place of the image") {
    replace("a.b2nd", read_file(cases / "a_seg.b2nd"));
    CHECK_THAT(error(), Contains("a.b2nd: has values of the type '<i2'; expected '<f4'"));
  }
  SECTION("labels of another case") {
    replace("a_seg.b2nd", read_file(cases / "b_seg.b2nd"));
    CHECK_THAT(error(), Contains("a_seg.b2nd: its shape is not that of"));
  }
  SECTION("two axes") {
    const BloscLayout layout = blosc_layout({1, 9, 9, 9}, {4, 4, 4}, 2);
    write_blosc_volume(cases / "a_seg.b2nd", std::vector<std::uint16_t>(729), {1, 9, 9, 9}, layout);
    CHECK_THAT(error(), Contains("a_seg.b2nd: has values of the type '<u2'"));
    replace("a.b2nd", read_file(fs::path(M3D_SOURCE_DIR) / "tests/data/two_axes.b2nd"));
    CHECK_THAT(error(), Contains("a.b2nd: expected four dimensions"));
  }
  SECTION("sizes that are not those of its chunks") {
    const std::size_t shape = whole.find("b2nd") + 21;  // 64 bits each, then chunk and block of 32, big-endian
    REQUIRE(whole.substr(shape, 9) == std::string("\xd3\0\0\0\0\0\0\0\1", 9));
    const std::size_t chunk = shape + 4 * 9 + 1, block = chunk + 4 * 5 + 1;
    const auto with = [&](std::size_t at, std::string_view bytes) {
      replace("a.b2nd", std::string(whole).replace(at, bytes.size(), bytes));
      return error();
    };
    CHECK_THAT(with(shape + 12, {"\1", 1}), Contains("a.b2nd: cannot read it as an array"));    // 2⁴⁰ slices
    CHECK_THAT(with(shape + 10, {"\xff", 1}), Contains("a.b2nd: cannot read it as an array"));  // below 0
    CHECK_THAT(with(chunk + 5, {"\xd2\0\0\0\0", 5}), Contains("a.b2nd: cannot read it as an array"));
    CHECK_THAT(with(block + 5, {"\xd2\0\0\0\0", 5}), Contains("a.b2nd: cannot read it as an array"));
    CHECK_THAT(with(whole.find("<f4"), "<f8"), Contains("a.b2nd: its values of the type '<f8' have 4 bytes"));
  }
  CHECK(!is_complete_case(cases, "a"));
}

TEST_CASE("a disk that fills up leaves no case that looks whole, and writing goes on afterwards", "[case_store]") {
  const test::TemporaryFolder folder;
  const fs::path cases = folder.path / "cases";
  const CaseWriter writer(cases, "plan", {4, 4, 4});
  const PreparedCase one = random_case("a", {20, 20, 20}, 1);
  const std::uint64_t bytes = GENERATE(10, 700, 12000, 24000);  // labels take 17 KB, the image 30 KB
  for (int time = 0; time < 2; ++time) {                        // the second time in the place of a whole case
    {
      const test::FullDisk full(bytes);
      CHECK_THROWS_AS(writer.write(one, properties_of(one)), RunError);
    }
    CHECK(!is_complete_case(cases, "a"));
    writer.write(one, properties_of(one));
  }
  CHECK(CaseStore(cases).load("a", {}).image == one.image);
}

TEST_CASE("damaged properties are refused with the file's name", "[case_store]") {
  const test::TemporaryFolder folder;
  const fs::path file = copy_of_fixture(folder) / "plain.pkl";
  const std::string whole = read_file(file);
  for (std::size_t length = 0; length < whole.size(); length += 7) {
    write_atomically(file, std::string_view(whole).substr(0, length));
    REQUIRE_THROWS_WITH(read_case_properties(file, {5, 9, 7}), Contains("plain.pkl"));
  }
  write_atomically(file, std::string_view(whole));
  CHECK_THROWS_WITH(read_case_properties(file, {5, 9, 6}), Contains("outside the case"));
  const fs::path ours = folder.path / "ours.pkl";
  const PreparedCase one = random_case("a", {5, 9, 7}, 1);
  write_case_properties(ours, properties_of(one), one.shape);
  const std::string written = read_file(ours);
  const auto sizes = [](std::int64_t rows, std::int64_t columns) {  // of an array, as ours are written
    std::string text("(\x8a\x08????????\x8a\x08????????t", 22);
    std::memcpy(&text[3], &rows, 8);
    std::memcpy(&text[13], &columns, 8);
    return text;
  };
  const std::size_t place = written.find(sizes(3, 4));
  REQUIRE(place != std::string::npos);
  const auto error_with = [&](std::int64_t rows, std::int64_t columns) {
    write_atomically(ours, std::string(written).replace(place, 22, sizes(rows, columns)));
    CHECK_THROWS_WITH(read_case_properties(ours, one.shape), Contains("ours.pkl"));
    try {
      read_case_properties(ours, one.shape);
    } catch (const RunError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(error_with(4, 3), Contains("not [N, 4]"));
  CHECK_THAT(error_with(4, 4), Contains("do not fit its bytes"));
  CHECK_THAT(error_with((std::int64_t{1} << 62) + 3, 4),
             Contains("impossible sizes"));         // 12 values, as 64 bits hold it
  for (std::size_t i = 2; i < whole.size(); ++i) {  // any single wrong byte: read or refused, nothing else
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    write_atomically(file, std::string_view(damaged));
    try {
      read_case_properties(file, {5, 9, 7});
    } catch (const RunError&) {
    }
  }
}
