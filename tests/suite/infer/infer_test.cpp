#include <torch/torch.h>
#include <unistd.h>

#include <filesystem>

#include "suite/infer/cropped_logits.h"
#include "suite/infer/export.h"
#include "suite/infer/probability_file.h"
#include "suite/infer/sliding_window.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

SlidingWindowOptions window(const Shape3& patch) {
  SlidingWindowOptions options;
  options.patch = patch;
  return options;
}

/// Acts on each voxel alone, so that tiles, flips and padding cannot change its answer.
torch::Tensor voxelwise(const torch::Tensor& image) {
  return torch::cat({image.sum(1, true), 2 * image.narrow(1, 0, 1) - 1, image.square().sum(1, true)}, 1);
}

Dataset dataset_of(std::vector<LabelClass> classes) {
  Dataset dataset;
  dataset.classes = std::move(classes);
  return dataset;
}

}  // namespace

TEST_CASE("a voxelwise network gives the same through any window", "[infer]") {
  torch::manual_seed(1);
  SlidingWindowOptions options = window({8, 6, 10});
  options.overlap = GENERATE(0.0, 0.5, 0.75);
  options.gaussian = GENERATE(false, true);
  if (GENERATE(false, true)) options.mirror_axes = {0, 2};
  const torch::Tensor image = GENERATE(0, 1) == 0 ? torch::randn({2, 13, 17, 10}) : torch::randn({2, 3, 21, 7});
  const torch::Tensor logits = predict_logits(voxelwise, image, 3, options);
  const torch::Tensor expected = voxelwise(image.unsqueeze(0)).squeeze(0);
  REQUIRE(logits.sizes() == expected.sizes());
  CHECK(torch::allclose(logits, expected, 1e-5, 1e-5));
}

TEST_CASE("each tile is seen once for every flip, and at the patch's size", "[infer]") {
  SlidingWindowOptions options = window({4, 4, 4});
  options.mirror_axes = {0, 1, 2};
  int calls = 0;
  const auto network = [&](const torch::Tensor& tile) {
    ++calls;
    CHECK(tile.sizes() == at::IntArrayRef({1, 1, 4, 4, 4}));
    return tile;
  };
  predict_logits(network, torch::zeros({1, 4, 6, 8}), 1, options);
  CHECK(calls == 8 * tile_count({4, 6, 8}, options));
  CHECK(tile_count({4, 6, 8}, options) == 6);
}

TEST_CASE("mirroring averages the flipped answers", "[infer]") {
  SlidingWindowOptions options = window({1, 1, 2});
  options.mirror_axes = {2};
  const auto ramp = [](const torch::Tensor& tile) { return tile * torch::tensor({1.f, 3.f}); };
  const torch::Tensor logits = predict_logits(ramp, torch::ones({1, 1, 1, 2}), 1, options);
  CHECK(torch::equal(logits.flatten(), torch::tensor({2.f, 2.f})));
}

TEST_CASE("tiles are added product by product, whatever vectors the processor has", "[infer]") {
  torch::manual_seed(2);
  SlidingWindowOptions options = window({1, 1, 40});
  options.overlap = 0.75;
  options.gaussian = false;
  const torch::Tensor image = torch::randn({1, 1, 1, 103});
  const auto starts = tile_starts(103, 40, options.overlap);
  torch::Tensor tiles = torch::zeros(103, torch::kDouble), expected = torch::zeros(103);
  for (const std::int64_t start : starts) tiles.narrow(0, start, 40) += 1;
  const torch::Tensor share = tiles.reciprocal().to(torch::kFloat);
  for (const std::int64_t start : starts) {
    const torch::Tensor logits = image.flatten().narrow(0, start, 40).sin();
    expected.narrow(0, start, 40) += share.narrow(0, start, 40) * logits;  // rounded twice
  }
  const auto sine = [](const torch::Tensor& tile) { return tile.sin(); };
  CHECK(torch::equal(predict_logits(sine, image, 1, options).flatten(), expected));
}

TEST_CASE("a prediction whose sums lie in a file has the bits of one in memory", "[infer]") {
  torch::manual_seed(3);
  const torch::Tensor kernel = torch::randn({5, 2, 3, 3, 3});
  const auto network = [&](const torch::Tensor& tile) { return torch::conv3d(tile, kernel, {}, 1, 1); };
  SlidingWindowOptions options = window({8, 6, 10});
  options.mirror_axes = {1, 2};
  options.overlap = GENERATE(0.25, 0.5, 0.75);
  const torch::Tensor image = GENERATE(0, 1) == 0 ? torch::randn({2, 29, 17, 10}) : torch::randn({2, 5, 21, 7});
  const torch::Tensor expected = predict_logits(network, image, 5, options);
  options.memory_bytes = 1000;
  options.scratch_folder = std::filesystem::temp_directory_path() / ("m3d-scratch-" + std::to_string(getpid()));
  std::int64_t next = 0;
  predict_slabs(network, image, 5, options, [&](std::int64_t first, const torch::Tensor& logits) {
    CHECK(first == next);
    CHECK(logits.size(1) == 1);  // no more than the memory allows
    CHECK(torch::equal(logits, expected.narrow(1, first, logits.size(1))));
    next = first + logits.size(1);
  });
  CHECK(next == image.size(1));
  CHECK(std::filesystem::is_empty(options.scratch_folder));
  std::filesystem::remove(options.scratch_folder);
}

TEST_CASE("no room for the sums is an error that says how much", "[infer]") {
  SlidingWindowOptions options = window({4, 4, 4});
  options.memory_bytes = 8;
  options.scratch_folder = "/dev/null/nowhere";
  CHECK_THROWS_WITH(
      predict_slabs(voxelwise, torch::zeros({1, 4, 4, 4}), 3, options, [](std::int64_t, const torch::Tensor&) {}),
      Catch::Contains("/dev/null/nowhere") && Catch::Contains("GiB") && Catch::Contains("infer.memory_limit_gib"));
}

TEST_CASE("requests that make no sense are refused", "[infer]") {
  const torch::Tensor image = torch::zeros({1, 4, 4, 4});
  CHECK_THROWS_AS(predict_logits(voxelwise, image, 2, window({4, 4, 4})), std::invalid_argument);
  CHECK_THROWS_AS(predict_logits(voxelwise, image[0], 3, window({4, 4, 4})), std::invalid_argument);
  CHECK_THROWS_AS(predict_logits(voxelwise, image, 3, window({4, 0, 4})), std::invalid_argument);
  CHECK_THROWS_AS(tile_starts(10, 4, 1.0), std::invalid_argument);
  CHECK(tile_starts(4, 1, 0.5) == std::vector<std::int64_t>{0, 1, 2, 3});  // slices: each once
}

TEST_CASE("softmax logits become label values in the case's own geometry", "[infer]") {
  PreparedCase prepared;
  prepared.shape = {1, 1, 3};
  prepared.original.shape = {2, 2, 4};
  prepared.original.spacing_mm = {3, 1, 1};
  prepared.crop_begin = {1, 0, 1};
  const torch::Tensor logits = torch::tensor({0.f, 1.f, 2.f, 5.f, 1.f, 1.f, 0.f, 0.f, 2.f}).view({3, 1, 1, 3});
  const LabelImage labels = labels_from_logits(logits, dataset_of({{"a", {4}}, {"b", {7}}}), prepared);
  CHECK(labels.geometry.spacing_mm == prepared.original.spacing_mm);
  std::vector<std::int16_t> expected(16, 0);
  expected[9] = 4;  // [1, 0, 1]; ties go to the first channel
  CHECK(labels.voxels == expected);
  CHECK_THROWS_AS(labels_from_logits(logits, dataset_of({{"a", {4}}}), prepared), std::invalid_argument);
}

TEST_CASE("a planned case's logits go back through resampling, crop, flips and order of axes", "[infer]") {
  PreparedCase prepared;
  prepared.shape = {4, 2, 2};
  prepared.original.shape = {2, 3, 4};
  prepared.crop_begin = {1, 0, 1};
  prepared.planned = PlannedGrid{{{2, 0, 1}, {true, false, false}}, {2, 2, 2}, {2, 1, 1}, {1, 1, 1}, {1, 0, {}}};
  torch::Tensor logits = torch::zeros({2, 4, 2, 2});
  logits[1].fill_(-1);
  logits[1].index_put_({torch::indexing::Slice(0, 2), 0, 0}, 3);
  const Dataset dataset = dataset_of({{"a", {5}}});
  std::vector<std::int16_t> expected(24, 0);
  expected[(0 * 3 + 1) * 4 + 2] = 5;  // voxel [0, 0, 0] of the crop is [1, 0, 1] of the turned case, flipped [2, 0, 1]
  CHECK(labels_from_logits(logits, dataset, prepared).voxels == expected);
  const torch::Tensor probabilities = probabilities_from_logits(logits, dataset, prepared);
  CHECK(probabilities.sizes() == at::IntArrayRef({2, 2, 3, 4}));
  CHECK(probabilities[1][0][1][2].item<float>() == Approx(1 / (1 + std::exp(-3.0))));
  CHECK(probabilities[0][1][0][0].item<float>() == 1);  // outside the crop
  CHECK(torch::allclose(probabilities.sum(0), torch::ones({2, 3, 4})));
}

TEST_CASE("logits that come plane by plane are resampled to the bits of whole volumes", "[infer]") {
  struct Way {
    Shape3 shape, cropped;
    Spacing3 spacing, cropped_spacing;
    ResamplingRule rule;
  };
  const Way way = GENERATE(Way{{7, 9, 8}, {11, 6, 13}, {1, 1, 1}, {0.7, 1.4, 0.6}, {1, 0, {}}},
                           Way{{7, 9, 8}, {3, 9, 20}, {4, 1, 1}, {9, 1, 0.4}, {1, 0, {}}},
                           Way{{9, 4, 8}, {5, 11, 8}, {1, 4, 1}, {1.8, 1.5, 1}, {1, 0, {}}},
                           Way{{9, 8, 4}, {5, 12, 9}, {1, 1, 4}, {1.8, 0.7, 1.8}, {1, 1, {}}},
                           Way{{6, 6, 6}, {9, 5, 4}, {1, 1, 5}, {0.7, 1.2, 7}, {0, 0, false}},
                           Way{{6, 7, 5}, {6, 9, 5}, {1, 1, 1}, {1, 0.8, 1}, {1, 0, {}}},
                           Way{{6, 7, 5}, {6, 7, 5}, {1, 1, 1}, {1, 1, 1}, {1, 0, {}}},
                           Way{{7, 9, 8}, {11, 6, 13}, {1, 1, 1}, {0.7, 1.4, 0.6}, {3, 0, {}}});
  PreparedCase prepared;
  prepared.shape = way.shape;
  prepared.planned = PlannedGrid{{}, way.cropped, way.cropped_spacing, way.spacing, way.rule};
  torch::manual_seed(1);
  const torch::Tensor logits = torch::randn({3, way.shape[0], way.shape[1], way.shape[2]});
  const torch::Tensor got = torch::full({3, way.cropped[0], way.cropped[1], way.cropped[2]}, NAN);
  std::int64_t next = 0;
  CroppedLogits cropped(prepared, 3, [&](std::int64_t first, const at::Tensor& slab) {
    CHECK(first == next);
    next = first + slab.size(1);
    got.narrow(1, first, slab.size(1)).copy_(slab);
  });
  for (std::int64_t first = 0; first < way.shape[0]; first += 4)
    cropped.add(first, logits.narrow(1, first, std::min<std::int64_t>(4, way.shape[0] - first)));
  REQUIRE(next == way.cropped[0]);
  const Resampling whole(way.shape, way.cropped, way.spacing, way.cropped_spacing, way.rule);
  for (std::int64_t k = 0; k < 3; ++k) {
    const torch::Tensor channel = logits[k].contiguous();
    const auto expected = whole.image({channel.const_data_ptr<float>(), static_cast<std::size_t>(channel.numel())});
    CHECK(std::equal(expected.begin(), expected.end(), got[k].const_data_ptr<float>()));
  }
  CHECK_THROWS_AS(cropped.add(0, logits), std::invalid_argument);
}

TEST_CASE("regions are painted in their order", "[infer]") {
  PreparedCase prepared;
  prepared.shape = prepared.original.shape = {1, 1, 4};
  Dataset dataset = dataset_of({{"whole", {1, 2}}, {"core", {2}}});
  dataset.region_based = true;
  dataset.regions_class_order = {1, 2};
  const torch::Tensor logits = torch::tensor({1.f, -1.f, 0.f, 2.f, 1.f, 1.f, -1.f, -1.f}).view({2, 1, 1, 4});
  CHECK(labels_from_logits(logits, dataset, prepared).voxels == std::vector<std::int16_t>{2, 2, 0, 1});
}
