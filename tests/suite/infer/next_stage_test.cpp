// Label maps for a cascade's next stage, beside those that nnU-Net's resample_and_save wrote.
#include "suite/infer/next_stage.h"

#include <torch/torch.h>

#include "datasets/storage/stage_segmentation.h"
#include "tests/catch.h"

namespace m3d {
namespace {

namespace fs = std::filesystem;

struct Stage {
  const char* name;
  Shape3 shape, next;
  double slice_spacing_mm, spacing_mm;
  Dataset dataset;
};

/// As tests/data/next_stage/make.py has them.
torch::Tensor logits_of(std::int64_t channels, const Shape3& shape) {
  torch::Tensor logits = torch::empty({channels, shape[0], shape[1], shape[2]});
  float* const values = logits.data_ptr<float>();
  for (std::int64_t i = 0; i < logits.numel(); ++i)
    values[i] = static_cast<float>(static_cast<std::uint32_t>(static_cast<std::uint64_t>(i + 1) * 2654435761) >> 8) /
                static_cast<float>(1 << 20);
  return logits;
}

Dataset labels_up_to(int count) {
  Dataset dataset;
  for (int value = 1; value <= count; ++value) dataset.classes.push_back({"label", {value}});
  return dataset;
}

Dataset regions() {
  Dataset dataset;
  dataset.classes = {{"whole", {1, 2, 4}}, {"core", {2, 4}}, {"rim", {4}}};
  dataset.region_based = true;
  dataset.regions_class_order = {1, 2, 4};
  return dataset;
}

TEST_CASE("the next stage's label maps are nnU-Net's", "[infer]") {
  const Stage stage = GENERATE(Stage{"isotropic", {5, 6, 7}, {9, 11, 13}, 2, 2, labels_up_to(2)},
                               Stage{"separate", {4, 8, 9}, {7, 15, 16}, 8, 1.5, labels_up_to(3)},
                               Stage{"regions", {6, 5, 7}, {8, 9, 10}, 2, 2, regions()},
                               Stage{"wide", {3, 4, 5}, {4, 6, 5}, 2, 2, labels_up_to(300)});
  const StageSegmentation expected(fs::path(M3D_SOURCE_DIR) / "tests/data/next_stage" /
                                   (std::string(stage.name) + ".b2nd"));
  REQUIRE(expected.shape() == stage.next);
  PreparedCase prepared;
  prepared.shape = stage.shape;
  prepared.planned.emplace();
  prepared.planned->spacing_mm = {stage.slice_spacing_mm, stage.spacing_mm, stage.spacing_mm};
  prepared.planned->logits = {1, 0, {}};
  torch::Tensor logits = logits_of(output_channels(stage.dataset), stage.shape);
  if (stage.dataset.region_based) logits -= 8;
  NextStageLabels result{stage.next};
  NextStagePainter painter(stage.dataset, prepared, result);
  painter.add(0, logits.narrow(1, 0, 2));
  painter.add(2, logits.narrow(1, 2, stage.shape[0] - 2));
  painter.finish();
  CHECK(result.labels == expected.whole());
}

}  // namespace
}  // namespace m3d
