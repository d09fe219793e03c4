// Both stages of nnU-Net's cascade as runs: 3d_lowres on every fold, then 3d_cascade_fullres, then prediction by both.
#include <torch/torch.h>

#include "common/error.h"
#include "datasets/planning/dataset_plan.h"
#include "suite/run/cascade.h"
#include "suite/run/run_data.h"
#include "suite/run/run_folder.h"
#include "tests/catch.h"
#include "tests/suite/run/small_world.h"

namespace m3d {
namespace {

using namespace small_world;
using Catch::Matchers::Contains;

/// The balls, and a plan whose first stage sees every second voxel.
class CascadeWorld : public World {
 public:
  CascadeWorld() : World(1.6), dataset(open_dataset("Dataset990_Balls", {root / "raw", {}})) {
    Json plans = dataset_plans(dataset, Planner::plain, {}).json();
    Json& all = plans["configurations"];
    all["3d_lowres"] = all["3d_fullres"];
    all["3d_lowres"]["data_identifier"] = "nnUNetPlans_3d_lowres";
    all["3d_lowres"]["spacing"] = {2.0, 2.0, 2.0};
    all["3d_lowres"]["next_stage"] = "3d_cascade_fullres";
    all["3d_cascade_fullres"] = {{"inherits_from", "3d_fullres"}, {"previous_stage", "3d_lowres"}};
    write_atomically(plans_file(), plans.dump());
  }

  fs::path plans_file() const { return root / "plans.json"; }
  fs::path runs() const { return root / "out" / "test" / "Dataset990_Balls"; }
  fs::path folder_of(const RunConfig& run) const { return run_folder_of(run, options().output); }

  RunConfig first_stage(int fold, std::uint64_t seed = 0) const {
    RunConfig run = config(
        seed, {{"data.plan", plans_file().string()}, {"data.configuration", "3d_lowres"}, {"data.patch", {4, 4, 4}}});
    run.fold = fold;
    return run;
  }

  RunConfig second_stage(const Json& previous) const {
    return config(0, {{"data.plan", plans_file().string()},
                      {"data.configuration", "3d_cascade_fullres"},
                      {"data.previous_stage", previous},
                      {"data.augmentation", "nnunet"},
                      {"train.epochs", 4}});
  }

  void run_first_stage() const {
    std::vector<RunConfig> folds;
    for (int fold = 0; fold < 5; ++fold) folds.push_back(first_stage(fold));
    REQUIRE(execute(folds, options()).done == 5);
  }

  const Dataset dataset;
};

fs::path segmentation_in(const fs::path& run, const std::string& id) {
  return run / "predicted_next_stage" / "3d_cascade_fullres" / (id + ".b2nd");
}

/// Begun, and interrupted before it had a record.
void forget_result(const fs::path& run) {
  fs::remove(run / "record.json");
  fs::remove_all(run / "predictions");
}

TEST_CASE("A cascade trains on what its first stage saw, and predicts with both") {
  const CascadeWorld world;
  world.run_first_stage();
  const RunConfig cascade = world.second_stage({world.runs().string()});
  REQUIRE(execute({cascade}, world.options()).done == 1);
  const fs::path run = world.folder_of(cascade);
  const Json record = json_in(run / "record.json");
  CHECK(record["metrics"]["per_class"]["ball"]["dice"].get<double>() > 0.5);
  CHECK(network_of_run(run, "")->parameters().front().size(1) == 3);  // one image and two labels
  const std::string id = split_of(world.dataset, 0).validation.front();
  const fs::path first = world.folder_of(world.first_stage(0));
  CHECK(!fs::exists(run / "predicted_next_stage"));

  SECTION("the first stage's segmentations lie on the second's grid") {
    const Shape3 sizes = StageSegmentation(segmentation_in(first, id)).shape();
    DataSettings settings;
    settings.plan = world.plans_file();
    const RunPlan fullres = *RunPlans(RunPlans::Purpose::run).get(settings, world.dataset);
    CHECK(FoldData(world.dataset, 0, settings, fullres).prepared(id)->shape == sizes);
  }
  SECTION("predict takes the first stage's predictions of the images") {
    const fs::path images = world.dataset.folder / "imagesTr", low = world.root / "low", full = world.root / "full";
    predict_folder({{first}, images, low, "", false});
    predict_folder({{run}, images, full, "", false, low});
    CHECK(same_geometry(read_geometry(full / (id + ".nii.gz")), read_geometry(low / (id + ".nii.gz"))));
    CHECK(read_labels(full / (id + ".nii.gz")).voxels != read_labels(low / (id + ".nii.gz")).voxels);
    fs::remove_all(full);
    CHECK_THROWS_WITH(predict_folder({{run}, images, full, "", false}),
                      Contains("3d_lowres") && Contains("--previous-stage"));
    CHECK_THROWS_WITH(predict_folder({{first}, images, full, "", false, low}), Contains("3d_cascade_fullres"));
    CHECK_THROWS_WITH(predict_folder({{run}, images, full, "", false, world.root / "nowhere"}), Contains("nowhere"));
    fs::remove(low / "case_7.nii.gz");
    CHECK_THROWS_WITH(predict_folder({{run}, images, full, "", false, low}), Contains("'case_7'"));
    CHECK(!fs::exists(full));
  }
  SECTION("what was interrupted goes on, with the same segmentations only") {
    forget_result(run);
    REQUIRE(execute({cascade}, world.options()).done == 1);
    CHECK(json_in(run / "record.json")["metrics"] == record["metrics"]);
    forget_result(run);
    const Shape3 shape = StageSegmentation(segmentation_in(first, id)).shape();
    const std::vector<std::int16_t> empty(static_cast<std::size_t>(voxel_count(shape)), 0);
    write_stage_segmentation(segmentation_in(first, id), empty, shape, {8, 8, 8}, 2);
    CHECK_THROWS_WITH(execute({cascade}, world.options()), Contains("data.previous_stage") && Contains("--fresh"));
  }
  SECTION("a folder of segmentations serves as well as the runs") {
    for (int fold = 0; fold < 5; ++fold)
      fs::copy(segmentation_in(world.folder_of(world.first_stage(fold)), id).parent_path(), world.root / "stage");
    const RunConfig other = world.second_stage({(world.root / "stage").string()});
    REQUIRE(execute({other}, world.options()).done == 1);
    CHECK(json_in(world.folder_of(other) / "record.json")["metrics"] == record["metrics"]);
    CHECK(other.hash() != cascade.hash());
  }
}

TEST_CASE("A cascade whose first stage is not complete is refused before anything is written") {
  const CascadeWorld world;
  const auto message = [&](const Json& previous) {
    try {
      execute({world.second_stage(previous)}, world.options());
    } catch (const UserError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(message(Json::array()), Contains("--fold all") && Contains("3d_lowres"));
  CHECK_THAT(message({"/nowhere"}), Contains("/nowhere"));
  CHECK_THAT(message({world.root.string()}), Contains("holds no segmentations"));
  CHECK(!fs::exists(world.options().output));
  CHECK_THROWS_WITH(execute({config(0, {{"data.previous_stage", {"/nowhere"}}})}, world.options()),
                    Contains("3d_cascade_fullres"));

  world.run_first_stage();
  const std::string id = split_of(world.dataset, 1).validation.front();
  const fs::path file = segmentation_in(world.folder_of(world.first_stage(1)), id);
  const RunConfig fold = world.first_stage(1);
  SECTION("a case is missing") {
    fs::remove(file);
    CHECK_THAT(message({world.runs().string()}), Contains("'" + id + "'"));
    forget_result(world.folder_of(fold));
    REQUIRE(execute({fold}, world.options()).done == 1);
    CHECK(fs::exists(file));
  }
  SECTION("the first stage wrote it although its prediction was there already") {
    fs::remove(file);
    fs::remove(world.folder_of(fold) / "record.json");
    REQUIRE(execute({fold}, world.options()).done == 1);
    CHECK(fs::exists(file));
  }
  SECTION("a case is there twice") {
    REQUIRE(execute({world.first_stage(1, 1)}, world.options()).done == 1);
    CHECK_THAT(message({world.runs().string()}), Contains("twice") && Contains("case_"));
  }
  SECTION("a segmentation is of another grid") {
    write_stage_segmentation(file, std::vector<std::int16_t>(8, 0), {2, 2, 2}, {8, 8, 8}, 2);
    CHECK_THAT(message({world.runs().string()}), Contains("2x2x2") && Contains(id));
  }
  CHECK(!fs::exists(world.folder_of(world.second_stage({world.runs().string()}))));
}

TEST_CASE("A region's labels are masks of their own, background and ignored voxels none") {
  Dataset dataset;
  dataset.channel_names = {"T1", "T2"};
  dataset.classes = {{"whole", {1, 2, 4}}, {"core", {4, 2}}};
  dataset.region_based = true;
  dataset.ignore_label = 5;
  const CascadeWorld world;
  RunPlan plan(Plans::read(world.plans_file()), "3d_cascade_fullres");
  CHECK(previous_labels(dataset, plan) == std::vector<int>{1, 2, 4});
  CHECK(input_channels(dataset, plan) == 5);
  CHECK(input_channels(dataset, RunPlan(Plans::read(world.plans_file()), "3d_lowres")) == 2);
  CHECK(input_channels(dataset, {}) == 2);
}

}  // namespace
}  // namespace m3d
