#include "datasets/sampling/cascade_augmentation.h"

#include <algorithm>
#include <numeric>

#include "common/atomic_file.h"
#include "common/hash.h"
#include "common/strict_yaml.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

Json record() {
  return Json::parse(
      read_file(std::filesystem::path(M3D_SOURCE_DIR) / "tests/records/pipeline/cascade_augmentation.json"));
}

std::vector<std::int16_t> recorded_segmentation(const Json& record) {
  std::vector<std::int16_t> labels;
  for (const Json& run : record.at("runs")) labels.insert(labels.end(), run[1], run[0].get<std::int16_t>());
  return labels;
}

std::vector<std::uint8_t> recorded_masks(const Json& record) {
  return one_hot(recorded_segmentation(record), record.at("labels").get<std::vector<int>>());
}

/// As the record has it: of the masks as little-endian int16.
std::string hash_of(const std::vector<std::uint8_t>& masks) {
  std::string bytes;
  for (const std::uint8_t voxel : masks) bytes += {static_cast<char>(voxel), '\0'};
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(fnv1a64(bytes)));
  return text;
}

CascadeAugmentation recorded_augmentation(const Json& item) {
  const std::map<std::string, BinaryOperation> operations = {{"dilation", BinaryOperation::dilation},
                                                             {"erosion", BinaryOperation::erosion},
                                                             {"closing", BinaryOperation::closing},
                                                             {"opening", BinaryOperation::opening}};
  CascadeAugmentation augmentation;
  for (const Json& step : item.value("steps", Json::array()))
    augmentation.steps.push_back({step.at("channel"), operations.at(step.at("operation")), step.at("radius")});
  for (const Json& removal : item.value("removals", Json::array()))
    augmentation.removals.push_back({removal.at("channel"), removal.at("choice")});
  return augmentation;
}

}  // namespace

TEST_CASE("masks of a cascade are spoilt as batchgeneratorsv2 spoils them", "[augmentation]") {
  const Json record = ::record();
  CHECK(hash_of(recorded_masks(record)) == record.at("start").at("hash"));
  for (const Json& item : record.at("cases")) {
    INFO(item.dump());
    std::vector<std::uint8_t> masks = recorded_masks(record);
    augment_masks(recorded_augmentation(item), record.at("shape").get<Shape3>(), masks);
    const std::size_t voxels = masks.size() / 3;
    for (std::size_t c = 0; c < 3; ++c) {
      const auto begin = masks.begin() + static_cast<std::ptrdiff_t>(c * voxels);
      CHECK(std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(voxels), 0) == item.at("voxels")[c].get<int>());
    }
    CHECK(hash_of(masks) == item.at("hash"));
  }
}

TEST_CASE("masks of a cascade are spoilt as often as nnU-Net does it", "[augmentation]") {
  constexpr int draws = 20000;
  int with_steps = 0, steps = 0, with_removals = 0, removals = 0, first_is_last_channel = 0, erosions = 0;
  double smallest = 99, largest = 0;
  for (int i = 0; i < draws; ++i) {
    RandomStream random(3, "cascade", static_cast<std::uint64_t>(i));
    const CascadeAugmentation one = draw_cascade_augmentation(4, random);
    with_steps += !one.steps.empty();
    steps += static_cast<int>(one.steps.size());
    with_removals += !one.removals.empty();
    removals += static_cast<int>(one.removals.size());
    if (!one.steps.empty()) first_is_last_channel += one.steps.front().channel == 3;
    for (const BinaryStep& step : one.steps) {
      erosions += step.operation == BinaryOperation::erosion;
      smallest = std::min(smallest, step.radius), largest = std::max(largest, step.radius);
    }
  }
  const double any = 1 - 1.0 / 16;  // of four labels, each with probability 1/2
  CHECK(with_steps == Approx(draws * 0.4 * any).epsilon(0.03));
  CHECK(steps == Approx(draws * 0.4 * 2).epsilon(0.03));
  CHECK(with_removals == Approx(draws * 0.2 * any).epsilon(0.05));
  CHECK(removals == Approx(draws * 0.2 * 2).epsilon(0.05));
  CHECK(first_is_last_channel == Approx(with_steps / 4.0).epsilon(0.08));
  CHECK(erosions == Approx(steps / 4.0).epsilon(0.06));
  CHECK((smallest >= 1 && smallest < 1.05 && largest <= 8 && largest > 7.95));
}

TEST_CASE("a component that covers much of the patch stays, and nothing to remove is no error", "[augmentation]") {
  std::vector<std::uint8_t> masks(1000, 1);
  augment_masks({{}, {{0, 0.5}}}, {10, 10, 10}, masks);
  CHECK(std::count(masks.begin(), masks.end(), 1) == 1000);
  std::fill(masks.begin(), masks.end(), 0);
  augment_masks({{{0, BinaryOperation::erosion, 2}}, {{0, 0.5}}}, {10, 10, 10}, masks);
  CHECK(std::count(masks.begin(), masks.end(), 1) == 0);
}
