// Runs that go by nnU-Net's plan: preprocessed cases on disk, predictions back in the files' geometry.
#include <torch/torch.h>

#include "common/error.h"
#include "datasets/planning/dataset_plan.h"
#include "datasets/planning/planner.h"
#include "suite/run/run_data.h"
#include "suite/run/run_folder.h"
#include "tests/catch.h"
#include "tests/suite/run/small_world.h"

namespace m3d {
namespace {

using namespace small_world;
using Catch::Matchers::Contains;

constexpr double kOtherSpacing = 1.6;

RunConfig planned(const Json& settings = Json::object()) {
  Json all = {{"data.plan", "plain"}, {"train.epochs", 3}};
  all.update(settings);
  return config(0, all);
}

SuiteOutcome execute(const RunConfig& run, const HarnessOptions& options) {
  return small_world::execute({run}, options);
}

fs::path preprocessed(const World& world) { return preprocessed_folder(world.root / "raw" / "Dataset990_Balls"); }

void change_json(const fs::path& file, const std::function<void(Json&)>& change) {
  Json json = json_in(file);
  change(json);
  write_atomically(file, json.dump());
}

class EnvironmentVariable {
 public:
  EnvironmentVariable(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~EnvironmentVariable() { unsetenv(name_); }
  EnvironmentVariable(const EnvironmentVariable&) = delete;

 private:
  const char* name_;
};

/// Begun, and interrupted before it had a record.
void forget_result(const fs::path& run) {
  fs::remove(run / "record.json");
  fs::remove_all(run / "predictions");
}

TEST_CASE("A run by a plan trains on preprocessed cases and predicts in the files' geometry") {
  const World world(kOtherSpacing);
  REQUIRE(execute(planned(), world.options()).done == 1);
  const fs::path folder = preprocessed(world), run = run_folder_of(planned(), world.options().output);
  for (const char* file : {"dataset.json", "dataset_fingerprint.json", "nnUNetPlans.json", "splits_final.json",
                           "gt_segmentations/case_0.nii.gz", "nnUNetPlans_3d_fullres/case_0.b2nd"})
    CHECK(fs::exists(folder / file));
  const Json record = json_in(run / "record.json");
  CHECK(record["metrics"]["per_class"]["ball"]["dice"].get<double>() > 0.5);
  CHECK(json_in(folder / "splits_final.json").size() == 5);
  CHECK(YamlDocument::load(run / "config.yaml").root()["split"]["name"] == "nnunet");
  CHECK(YamlDocument::load(run / "config.yaml").root()["plan"]["hash"] ==
        Plans::read(folder / "nnUNetPlans.json").hash());
  const Dataset dataset = open_dataset("Dataset990_Balls", {world.root / "raw", {}});
  for (const std::string& id : split_of(dataset, 0).validation)
    CHECK(same_geometry(read_geometry(run / "predictions" / (id + ".nii.gz")),
                        read_geometry(dataset.folder / "labelsTr" / (id + ".nii.gz"))));

  SECTION("predict prepares new images in the same way") {
    predict_folder({{run}, dataset.folder / "imagesTr", world.root / "predicted", "", false});
    for (const std::string& id : split_of(dataset, 0).validation)
      CHECK(read_labels(world.root / "predicted" / (id + ".nii.gz")).voxels ==
            read_labels(run / "predictions" / (id + ".nii.gz")).voxels);
  }
  SECTION("nnU-Net's own cases are used as they are, and must be complete") {
    fs::remove(folder / "nnUNetPlans_3d_fullres.m3d.json");
    forget_result(run);
    CHECK(execute(planned(), world.options()).done == 1);
    CHECK(json_in(run / "record.json")["metrics"] == record["metrics"]);
    CHECK(!fs::exists(folder / "nnUNetPlans_3d_fullres.m3d.json"));
    fs::remove(folder / "nnUNetPlans_3d_fullres" / "case_3.pkl");
    forget_result(run);
    CHECK_THROWS_WITH(execute(planned(), world.options()), Contains("case_3") && Contains("nnUNetv2_preprocess"));
  }
  SECTION("without the raw data the preprocessed folder suffices") {
    fs::rename(dataset.folder, world.root / "elsewhere");
    fs::remove_all(folder / "gt_segmentations");  // links to what is gone
    fs::copy(world.root / "elsewhere" / "labelsTr", folder / "gt_segmentations");
    const EnvironmentVariable preprocessed_root("nnUNet_preprocessed", folder.parent_path().string());
    forget_result(run);
    CHECK(execute(planned(), world.options()).done == 1);
    CHECK(json_in(run / "record.json")["metrics"] == record["metrics"]);
    CHECK_THROWS_WITH(execute(config(7), world.options()), Contains("only the preprocessed folder"));
    fs::remove(folder / "nnUNetPlans_3d_fullres" / "case_0.b2nd");
    forget_result(run);
    CHECK_THROWS_WITH(execute(planned(), world.options()), Contains("case_0"));
    CHECK(open_dataset("Dataset990_Balls", {}).training.size() == 9);  // nnU-Net takes what is preprocessed
  }
  SECTION("a run does not go on by another plan") {
    change_json(folder / "nnUNetPlans.json",
                [](Json& plans) { plans["configurations"]["3d_fullres"]["batch_size"] = 7; });
    forget_result(run);
    CHECK_THROWS_WITH(execute(planned(), world.options()), Contains("by another plan") && Contains("--fresh"));
  }
  SECTION("cases of another plan are not used") {
    change_json(folder / "nnUNetPlans.json", [](Json& plans) {
      plans["configurations"]["3d_fullres"]["spacing"] = {2.0, 1.0, 1.0};
    });
    CHECK_THROWS_WITH(execute(planned({{"train.epochs", 1}}), world.options()),
                      Contains("preprocessed by another plan") && Contains("--rebuild"));
  }
  SECTION("an image that changed after it was preprocessed is found out") {
    fs::remove(dataset.folder / "imagesTr" / "case_2_0000.nii.gz");
    ImageF changed;
    changed.geometry.shape = {5, 5, 5};
    changed.voxels.assign(125, 1);
    write_image(dataset.folder / "imagesTr" / "case_2_0000.nii.gz", changed);
    RunConfig everything = planned({{"train.epochs", 1}, {"infer.overlap", 0.0}});
    everything.fold = kFoldEverything;
    REQUIRE(execute(everything, world.options()).failed == 1);
    CHECK_THAT(json_in(run_folder_of(everything, world.options().output) / "record.json")["error"].get<std::string>(),
               Contains("case_2_0000.nii.gz") && Contains("--rebuild"));
  }
}

TEST_CASE("A killed preprocessing is taken up, and equal runs follow") {
  const World world(kOtherSpacing);
  REQUIRE(execute(planned(), world.options()).done == 1);
  const fs::path run = run_folder_of(planned(), world.options().output);
  const Json metrics = json_in(run / "record.json")["metrics"];
  const fs::path cases = preprocessed(world) / "nnUNetPlans_3d_fullres";
  fs::remove(cases / "case_1.pkl");
  fs::resize_file(cases / "case_4.b2nd", 100);
  fs::remove_all(run);
  REQUIRE(execute(planned(), world.options()).done == 1);
  CHECK(json_in(run / "record.json")["metrics"] == metrics);
}

TEST_CASE("A plans file gives the patch, the batch size and the spacing") {
  const World world(kOtherSpacing);
  const Dataset dataset = open_dataset("Dataset990_Balls", {world.root / "raw", {}});
  const fs::path file = world.root / "plans.json";
  write_atomically(file, dataset_plans(dataset, Planner::plain, {}).json().dump());
  change_json(file, [](Json& plans) {
    Json& fullres = plans["configurations"]["3d_fullres"];
    fullres["batch_size"] = 3;
    fullres["patch_size"] = {4, 8, 8};
    fullres["spacing"] = {2.0, 1.0, 1.0};
    fullres["data_identifier"] = "mine";
  });
  DataSettings settings;
  settings.plan = file;
  settings.batch_size = 0;
  const RunPlan plan = *RunPlans(RunPlans::Purpose::run).get(settings, dataset);
  CHECK(with_plan({settings, {}, {}, {}}, plan).data.batch_size == 3);
  CHECK(network_request(config(0), settings, dataset, {}, plan).input.patch == Shape3{4, 8, 8});
  FoldData data(dataset, 0, settings, plan);
  const auto prepared = data.prepared(data.split().validation.front());
  REQUIRE(prepared->planned);
  CHECK(prepared->planned->spacing_mm == Spacing3{2, 1, 1});
  CHECK(prepared->shape[0] == (prepared->original.spacing_mm[0] == 1 ? 5 : 8));
  CHECK(fs::exists(preprocessed(world) / "mine" / (prepared->id + ".b2nd")));
}

TEST_CASE("Configurations that a run cannot go by are refused before anything is written") {
  const World world;
  CHECK_THROWS_WITH(execute(planned({{"data.configuration", "3d_fulres"}}), world.options()), Contains("3d_fullres"));
  CHECK_THROWS_WITH(execute(planned({{"data.configuration", "2d"}, {"data.patch", Json::array()}}), world.options()),
                    Contains("slice by slice") && Contains("toy"));
  CHECK_THROWS_WITH(execute(planned({{"data.plan", "/nowhere/plans.json"}}), world.options()), Contains("/nowhere"));
  CHECK(!fs::exists(world.options().output));
}

TEST_CASE("nnU-Net's networks get the stages that it plans for the spacing") {
  const World world;
  const Dataset dataset = open_dataset("Dataset990_Balls", {world.root / "raw", {}});
  RunPlan plan(dataset_plans(dataset, Planner::plain, {}), "3d_fullres");
  plan.configuration.spacing = {5, 1, 1};
  const Architecture& nnunet = find_architecture("nnunet_plain");
  const Json open = nnunet.options.resolve(Json::object(), [](const std::string&) { return "test"; });
  const Json model = planned_model(nnunet, open, plan, {16, 64, 64});
  CHECK(model["strides"] ==
        Json({{1, 1, 1}, {1, 2, 2}, {1, 2, 2}, {2, 2, 2}, {2, 2, 2}}));  // network_topology.py of MIC-DKFZ/nnUNet
  CHECK(model["kernel_sizes"] == Json({{1, 3, 3}, {1, 3, 3}, {3, 3, 3}, {3, 3, 3}, {3, 3, 3}}));
  CHECK(model["n_stages"] == 5);
  Json given = open;
  given["n_stages"] = 3;
  CHECK(planned_model(nnunet, given, plan, {16, 64, 64}) == given);
  CHECK(planned_model(find_architecture("toy"), Json::object(), plan, {16, 64, 64}) == Json::object());
}

}  // namespace
}  // namespace m3d
