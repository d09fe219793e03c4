// Patches of a cascade's second stage: the images' channels, then a mask for each label of the first stage.
#include <algorithm>
#include <numeric>

#include "datasets/preprocessing/preprocessing.h"
#include "datasets/sampling/cascade_augmentation.h"
#include "datasets/sampling/patch_sampler.h"
#include "datasets/storage/blosc_array.h"
#include "datasets/storage/stage_segmentation.h"
#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"

namespace m3d {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

constexpr Shape3 kShape{11, 13, 12};

/// Labels in slabs, wider than a voxel, so that they survive interpolation.
std::vector<std::int16_t> slabs(const Shape3& shape) {
  std::vector<std::int16_t> labels;
  for (std::int64_t z = 0; z < shape[0]; ++z)
    for (std::int64_t i = 0; i < shape[1] * shape[2]; ++i)
      labels.push_back(std::array<std::int16_t, 4>{0, 1, 4, 7}[static_cast<std::size_t>(z / 3 % 4)]);
  return labels;
}

/// The case's own labels are those of the first stage, so that patches tell whether both went the same way.
std::shared_ptr<const PatchSource> cascade_case(const fs::path& folder) {
  auto one = std::make_shared<PreparedCase>();
  one->id = "one";
  one->shape = kShape;
  one->channels = 2;
  one->image.resize(static_cast<std::size_t>(2 * voxel_count(kShape)));
  std::iota(one->image.begin(), one->image.end(), 1.0F);
  one->labels = slabs(kShape);
  one->class_locations = {{700}};
  write_stage_segmentation(folder / "one.b2nd", one->labels, kShape, {8, 8, 8}, 7);
  return with_previous_stage(in_memory_source(one), open_stage_segmentation(folder / "one.b2nd", "one", kShape));
}

std::vector<float> masks_of(const Batch& batch, std::int64_t sample, std::size_t labels) {
  const auto voxels = static_cast<std::size_t>(voxel_count(batch.patch));
  const auto end = batch.image.begin() +
                   static_cast<std::ptrdiff_t>((sample + 1) * batch.channels * std::ssize(batch.labels) / batch.size);
  return {end - static_cast<std::ptrdiff_t>(labels * voxels), end};
}

std::vector<float> masks_of_labels(const Batch& batch, std::int64_t sample, const std::vector<int>& labels) {
  const auto voxels = static_cast<std::size_t>(voxel_count(batch.patch));
  const auto masks =
      one_hot(std::span(batch.labels).subspan(static_cast<std::size_t>(sample) * voxels, voxels), labels);
  return {masks.begin(), masks.end()};
}

TEST_CASE("a cascade's patches carry the first stage's labels as masks", "[sampling]") {
  const test::TemporaryFolder folder;
  const std::vector<int> labels{1, 4, 7};
  PatchSampler::Options options{.patch = {6, 7, 8}, .batch_size = 3};
  options.previous_labels = labels;
  const auto source = cascade_case(folder.path);
  const PatchSampler sampler({source}, options, 5);
  bool outside = false;
  for (std::int64_t step = 0; step < 20; ++step) {
    const Batch batch = sampler.draw(step);
    REQUIRE(batch.channels == 5);
    REQUIRE(batch.image.size() == static_cast<std::size_t>(3 * 5 * 6 * 7 * 8));
    for (std::int64_t sample = 0; sample < 3; ++sample)
      REQUIRE(masks_of(batch, sample, 3) == masks_of_labels(batch, sample, labels));
    outside = outside || std::count(batch.image.begin(), batch.image.begin() + 2 * 336, 0.0F) > 0;
  }
  SECTION("images and labels are those that are drawn without a first stage") {
    options.previous_labels.clear();
    const Batch with = sampler.draw(3), without = PatchSampler({source}, options, 5).draw(3);
    CHECK(with.labels == without.labels);
    CHECK(std::equal(without.image.begin(), without.image.begin() + 2 * 336, with.image.begin()));
  }
  SECTION("cases without a segmentation are refused") {
    auto bare = std::make_shared<PreparedCase>();
    CHECK_THROWS_AS(PatchSampler({in_memory_source(bare)}, options, 5), std::logic_error);
  }
}

TEST_CASE("masks are turned as the labels are, and spoilt in some patches", "[sampling]") {
  const test::TemporaryFolder folder;
  const std::vector<int> labels{1, 4, 7};
  const Augmentation kind = GENERATE(Augmentation::nnunet, Augmentation::nnunet_v1);
  PatchSampler::Options options{.patch = {8, 8, 8}, .batch_size = 1, .augmentation = kind};
  options.previous_labels = labels;
  const PatchSampler sampler({cascade_case(folder.path)}, options, 11);
  constexpr int kSteps = 150;
  int untouched = 0;
  for (std::int64_t step = 0; step < kSteps; ++step) {
    const Batch batch = sampler.draw(step);
    const std::vector<float> masks = masks_of(batch, 0, 3);
    REQUIRE(std::all_of(masks.begin(), masks.end(), [](float voxel) { return voxel == 0 || voxel == 1; }));
    untouched += masks == masks_of_labels(batch, 0, labels);
    REQUIRE(sampler.draw(step).image == batch.image);
  }
  // Neither is drawn with probability (1 - 0.4)(1 - 0.2) = 0.48; those drawn leave some patches as they are.
  CHECK(untouched > 0.40 * kSteps);
  CHECK(untouched < 0.85 * kSteps);
}

TEST_CASE("segmentations of a first stage are read in boxes, and wrong ones are refused", "[case_store]") {
  const test::TemporaryFolder folder;
  const fs::path file = folder.path / "one.b2nd";
  const int largest = GENERATE(7, 300);
  std::vector<std::int16_t> labels = slabs(kShape);
  labels.back() = static_cast<std::int16_t>(largest);
  write_stage_segmentation(file, labels, kShape, {8, 8, 8}, largest);
  CHECK(BloscArray(file).type() == (largest > 255 ? "<u2" : "|u1"));
  CHECK(StageSegmentation(file).whole() == labels);
  std::vector<std::int16_t> box(4 * 4 * 4, -1);
  StageSegmentation(file).read({8, 10, 9}, {3, 3, 3},
                               {.shape = {4, 4, 4}, .offset = {0, 1, 1}, .previous = box.data()});
  CHECK(box.front() == -1);
  CHECK(box[(2 * 4 + 3) * 4 + 3] == largest);
  CHECK(box[(0 * 4 + 1) * 4 + 1] == 4);
  CHECK_THROWS_WITH(open_stage_segmentation(file, "one", {11, 13, 13}), Contains("11x13x13") && Contains("'one'"));
  CHECK_THROWS_WITH(open_stage_segmentation(folder.path / "two.b2nd", "two", kShape), Contains("'two'"));
  fs::resize_file(file, 100);
  CHECK_THROWS_WITH(open_stage_segmentation(file, "one", kShape), Contains("one.b2nd") && Contains("cut off"));
  write_blosc(file, std::vector<float>(8, 1.0F), {1, 2, 2, 2}, {{1, 2, 2, 2}, {1, 2, 2, 2}});
  CHECK_THROWS_WITH(open_stage_segmentation(file, "one", kShape), Contains("uint8") && Contains("<f4"));
}

}  // namespace
}  // namespace m3d
