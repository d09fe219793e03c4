#include <torch/torch.h>

#include "common/error.h"
#include "suite/infer/probability_file.h"
#include "suite/run/run_data.h"
#include "suite/run/run_folder.h"
#include "tests/catch.h"
#include "tests/suite/run/small_world.h"

namespace m3d {
namespace {

using namespace small_world;
using Catch::Matchers::Contains;

std::vector<RunState> states(const std::vector<RunConfig>& configs, const HarnessOptions& options) {
  std::vector<RunState> result;
  for (const PlannedRun& run : plan_runs(configs, options, false)) result.push_back(run.state);
  return result;
}

TEST_CASE("A suite is run, recorded as DESIGN.md says, and never repeated") {
  const World world;
  const std::vector<RunConfig> configs{config(0), config(1)};
  const auto planned = plan_runs(configs, world.options(), true);
  CHECK(planned[0].state == RunState::fresh);
  CHECK(planned[0].parameters == 3 * 27 + 3);
  CHECK(planned[0].macs.convolution == 3 * 27 * 8 * 8 * 8);  // data.patch [7, 8, 8], rounded up
  CHECK(!fs::exists(world.options().output));
  const SuiteOutcome first = execute(configs, world.options());
  REQUIRE(first.done == 2);
  REQUIRE(first.failed == 0);

  const fs::path folder = planned[0].folder;
  CHECK(folder == world.root / "out" / "test" / "Dataset990_Balls" / configs[0].folder_name());
  const Json record = json_in(folder / "record.json");
  for (const char* key : {"schema", "suite", "dataset", "architecture", "axes", "fold", "seed", "status", "hash",
                          "metrics", "profile", "provenance"})
    CHECK(record.contains(key));
  CHECK(!record.contains("error"));
  CHECK(record["status"] == "ok");
  CHECK(record["metrics"]["per_class"]["ball"]["dice"].get<double>() > 0.5);
  CHECK(record["metrics"]["per_class"]["nothing"]["dice"].is_null());
  CHECK(record["metrics"]["per_case"].size() == 4);
  CHECK(record["profile"]["patch"] == Json({8, 8, 8}));
  CHECK(record["profile"]["macs_at_128"]["convolution"] == 3 * 27 * 128 * 128 * 128);
  CHECK(record["profile"]["train_patches_per_second"].get<double>() > 0);
  CHECK(record["profile"]["train_seconds"].get<double>() > 0);
  CHECK(record["provenance"]["command"] == "m3d-bench --suite test");
  CHECK(record["provenance"]["gpu"].is_null());
  CHECK(json_in(folder / "scan_orders.json")[0]["grid"] == Json({4, 8, 8}));
  CHECK(fs::exists(folder / "summary.json"));
  CHECK(fs::exists(folder / "log.csv"));
  for (const std::string& id : split_of(open_dataset("Dataset990_Balls", {world.root / "raw", {}}), 0).validation)
    CHECK(fs::exists(folder / "predictions" / (id + ".nii.gz")));
  CHECK(read_run_config(folder).hash() == configs[0].hash());
  CHECK(YamlDocument::load(folder / "config.yaml").root()["architecture_title"] == "Toy");

  const auto written = fs::last_write_time(folder / "record.json");
  const SuiteOutcome second = execute(configs, world.options());
  CHECK(second.already_done == 2);
  CHECK(second.done == 0);
  CHECK(fs::last_write_time(folder / "record.json") == written);
}

TEST_CASE("A run that lost its record goes on from its checkpoint to the same result") {
  const World world;
  const fs::path folder = run_folder_of(config(0), world.options().output);
  execute({config(0)}, world.options());
  const Json metrics = json_in(folder / "record.json")["metrics"];
  const std::string checkpoint = read_file(folder / "checkpoint.pt");
  fs::remove(folder / "record.json");
  CHECK(states({config(0)}, world.options()).front() == RunState::partial);
  CHECK(execute({config(0)}, world.options()).done == 1);
  CHECK(json_in(folder / "record.json")["metrics"] == metrics);
  CHECK(read_file(folder / "checkpoint.pt") == checkpoint);
}

TEST_CASE("A record damaged by hand is reported, left alone, and repeated with --fresh") {
  const World world;
  const std::vector<RunConfig> configs{config(0), config(1)};
  execute(configs, world.options());
  const fs::path file = run_folder_of(configs[0], world.options().output) / "record.json";
  Json without_metrics = json_in(file);
  without_metrics["metrics"] = nullptr;
  Json other_hash = json_in(file);
  other_hash["hash"] = "0000000000000000";
  for (const std::string& content :
       {std::string("{\"schema\": 1,"), std::string("[]"), without_metrics.dump(), other_hash.dump()}) {
    write_atomically(file, content);
    CHECK((states(configs, world.options()) == std::vector{RunState::damaged, RunState::done}));
    const SuiteOutcome outcome = execute(configs, world.options());
    CHECK(outcome.failed == 1);
    CHECK(outcome.already_done == 1);
    CHECK(read_file(file) == content);
  }
  HarnessOptions fresh = world.options();
  fresh.fresh = true;
  CHECK(execute({configs[0]}, fresh).done == 1);
  CHECK((states(configs, world.options()) == std::vector{RunState::done, RunState::done}));
}

TEST_CASE("Voxels with an ignore label count nowhere in a run") {
  const World world;
  const fs::path raw = world.root / "raw" / "Dataset990_Balls";
  const bool regions = GENERATE(false, true);
  write_atomically(raw / "dataset.json",
                   std::string(R"({"channel_names": {"0": "T1"}, "numTraining": 10, "file_ending": ".nii.gz", )") +
                       (regions ? R"("labels": {"background": 0, "all": [1, 2], "core": 2, "ignore": 3},
                                    "regions_class_order": [1, 2]})"
                                : R"("labels": {"background": 0, "ball": 1, "ignore": 3}})"));
  for (const auto& file : fs::directory_iterator(raw / "labelsTr")) {
    LabelImage labels = read_labels(file.path());
    for (std::size_t i = 0; i < labels.voxels.size(); ++i)  // the planes below the middle: nobody looked
      if (i < labels.voxels.size() / 2) labels.voxels[i] = 3;
    write_labels(file.path(), labels);
  }
  const RunConfig run = config(0, {{"train.epochs", 10}});
  REQUIRE(execute({run}, world.options()).done == 1);
  const fs::path folder = run_folder_of(run, world.options().output);
  CHECK(json_in(folder / "record.json")["metrics"]["per_class"][regions ? "all" : "ball"]["dice"].get<double>() > 0.5);
  const Json row = json_in(folder / "record.json")["metrics"]["per_case"][0];
  const LabelImage predicted = read_labels(folder / "predictions" / (row["case"].get<std::string>() + ".nii.gz"));
  CHECK(std::count(predicted.voxels.begin(), predicted.voxels.end(), 3) == 0);
}

TEST_CASE("A run that memory does not suffice for is not tried, and its record says what it needs") {
  const World world;
  RunConfig small = config(0);
  small.settings["train"]["memory_limit_gib"] = 1e-6;
  CHECK(small.hash() == config(0).hash());  // how much memory there is does not change a result
  CHECK(execute({small}, world.options()).failed == 1);
  const fs::path folder = run_folder_of(small, world.options().output);
  const Json record = json_in(folder / "record.json");
  CHECK(record["status"] == "oom");
  CHECK_THAT(record["error"].get<std::string>(), Contains("1e-06 GiB are allowed"));
  CHECK(record["profile"]["predicted_tensor_bytes"] > 1000);
  CHECK(record["profile"]["peak_tensor_bytes"].is_null());
  CHECK_FALSE(fs::exists(folder / "checkpoint.pt"));
  CHECK(execute({config(0)}, world.options()).done == 1);
}

TEST_CASE("A run that diverges leaves a record that names the module; the others go on and it is tried again") {
  const World world;
  const std::vector<RunConfig> configs{config(0, {{"train.learning_rate", 1e30}, {"train.gradient_clip", 0}}),
                                       config(1)};
  const SuiteOutcome outcome = execute(configs, world.options());
  CHECK(outcome.failed == 1);
  CHECK(outcome.done == 1);
  const Json record = json_in(run_folder_of(configs[0], world.options().output) / "record.json");
  CHECK(record["status"] == "diverged");
  CHECK_THAT(record["error"].get<std::string>(), Contains("the network itself"));
  CHECK(record["metrics"].is_null());
  CHECK(record["profile"]["parameters"] > 0);
  CHECK(record["profile"]["train_seconds"].is_null());
  const auto again = plan_runs(configs, world.options(), false);
  CHECK(again[0].state == RunState::failed);
  CHECK_THAT(again[0].reason, Contains("diverged"));
  CHECK(execute(configs, world.options()).failed == 1);
}

TEST_CASE("Where nothing is trained no training time is measured") {
  const World world;
  const RunConfig untrained = config(0, {{"train.epochs", 0}});
  REQUIRE(execute({untrained}, world.options()).done == 1);
  const Json profile = json_in(run_folder_of(untrained, world.options().output) / "record.json")["profile"];
  CHECK(profile["train_seconds"].is_null());
  CHECK(profile["train_patches_per_second"].get<double>() > 0);
}

TEST_CASE("Excluded runs are counted, with their reason") {
  const World world;
  RunConfig excluded = config(0);
  excluded.skip_reason = "too large";
  CHECK(plan_runs({excluded}, world.options(), true)[0].reason == "too large");
  CHECK(execute({excluded}, world.options()).skipped == 1);
}

TEST_CASE("What cannot be is refused before anything is written") {
  const World world;
  RunConfig broken = config(1, {{"infer.checkpoint", "best"}, {"train.validation_iterations", 0}});
  CHECK_THROWS_WITH(execute({config(0), broken}, world.options()), Contains("infer.checkpoint"));
  RunConfig precise = config(1);
  precise.precision = "fp64";
  CHECK_THROWS_AS(execute({config(0), precise}, world.options()), UserError);
  write_atomically(world.root / "raw" / "Dataset990_Balls" / "imagesTr" / "case_3_0000.nii.gz", "not an image");
  CHECK_THROWS_WITH(execute({config(0)}, world.options()), Contains("case_3"));
  CHECK(!fs::exists(world.options().output));
}

TEST_CASE("The second writer of a run folder is told who holds it") {
  const World world;
  const FolderLock lock(run_folder_of(config(0), world.options().output));
  CHECK_THROWS_WITH(execute({config(0)}, world.options()), Contains("in use by process " + std::to_string(getpid())));
}

TEST_CASE("A finished run segments new images as it did its validation cases") {
  const World world;
  execute({config(0, {{"data.max_classes", 1}})}, world.options());
  const fs::path run = run_folder_of(config(0, {{"data.max_classes", 1}}), world.options().output);
  const fs::path input = world.root / "raw" / "Dataset990_Balls" / "imagesTr", output = world.root / "predicted";
  predict_folder({{run}, input, output, "", false});
  CHECK(std::distance(fs::directory_iterator(output), {}) == 10);
  for (const auto& entry : fs::directory_iterator(run / "predictions"))
    CHECK(read_labels(entry.path()).voxels == read_labels(output / entry.path().filename()).voxels);
  CHECK_THROWS_WITH(predict_folder({{world.root}, input, output, "", false}), Contains("not a run folder"));
  const fs::path other = world.root / "nrrd";
  write_image(other / "case_3_0000.nrrd", read_image(input / "case_3_0000.nii.gz"));
  predict_folder({{run}, other, other, "", false});
  CHECK(read_labels(other / "case_3.nii.gz").voxels == read_labels(output / "case_3.nii.gz").voxels);
  write_image(other / "case_3_0000.mha", read_image(input / "case_3_0000.nii.gz"));
  CHECK_THROWS_WITH(predict_folder({{run}, other, other, "", false}), Contains("case_3") && Contains("two endings"));
  CHECK_THROWS_WITH(predict_folder({{run}, world.root / "raw", output, "", false}), Contains("case_0000.nii.gz"));
  Json data = json_in(run / "data.json");
  data["channel_names"].push_back("T2");
  write_atomically(run / "data.json", data.dump());
  CHECK_THROWS_WITH(predict_folder({{run}, input, output, "", false}),
                    Contains("has no channel T2") && Contains("_0001.nii.gz is missing"));
}

TEST_CASE("Runs that differ in their seed are an ensemble by the mean of their logits") {
  const World world;
  execute({config(0), config(1)}, world.options());
  std::vector<fs::path> runs;
  for (const std::uint64_t seed : {0, 1}) runs.push_back(run_folder_of(config(seed), world.options().output));
  const fs::path input = world.root / "raw" / "Dataset990_Balls" / "imagesTr";
  const auto predicted = [&](const std::vector<fs::path>& members, const std::string& output) {
    predict_folder({members, input, world.root / output, "", true});
    return world.root / output;
  };
  const fs::path together = predicted(runs, "together"), by_folder = predicted({runs[0].parent_path()}, "by-folder"),
                 first = predicted({runs[0]}, "first"), second = predicted({runs[1]}, "second");
  const auto log_ratio = [](const fs::path& folder) {  // of softmax probabilities: differences of logits
    const torch::Tensor p = ProbabilityReader(folder / "case_3.npy").planes(0, 10).to(torch::kDouble).log();
    return p - p.narrow(0, 0, 1);
  };
  CHECK(torch::allclose(log_ratio(together), (log_ratio(first) + log_ratio(second)) / 2, 1e-3, 1e-3));
  CHECK(read_file(together / "case_3.npy") == read_file(by_folder / "case_3.npy"));
  CHECK(read_labels(together / "case_3.nii.gz").voxels == read_labels(by_folder / "case_3.nii.gz").voxels);
  execute({config(0, {{"infer.overlap", 0.25}})}, world.options());
  const fs::path other = run_folder_of(config(0, {{"infer.overlap", 0.25}}), world.options().output);
  CHECK_THROWS_WITH(predicted({runs[0], other}, "never"), Contains("differ in more than fold and seed"));
  CHECK_FALSE(fs::exists(world.root / "never"));
}

TEST_CASE("Saved probabilities of several predictions are averaged, as nnU-Net's ensembles") {
  const World world;
  execute({config(0), config(1)}, world.options());
  const fs::path input = world.root / "raw" / "Dataset990_Balls" / "imagesTr";
  std::vector<fs::path> folders;
  for (const std::uint64_t seed : {0, 1}) {
    folders.push_back(world.root / ("predicted-" + std::to_string(seed)));
    predict_folder({{run_folder_of(config(seed), world.options().output)}, input, folders.back(), "cpu", true});
  }
  ensemble_folders(folders, world.root / "mean");
  const torch::Tensor mean = (ProbabilityReader(folders[0] / "case_7.npy").planes(0, 10) +
                              ProbabilityReader(folders[1] / "case_7.npy").planes(0, 10)) /
                             2;
  const LabelImage labels = read_labels(world.root / "mean" / "case_7.nii.gz");
  const torch::Tensor expected = mean.argmax(0).flatten().to(torch::kShort);
  CHECK(torch::equal(torch::tensor(labels.voxels, torch::kShort), expected));
  CHECK(torch::allclose(mean.sum(0), torch::ones({10, 12, 14}), 1e-6, 1e-6));
  fs::remove(folders[1] / "case_7.npy");
  CHECK_THROWS_WITH(ensemble_folders(folders, world.root / "x"), Contains("case_7"));
  write_atomically(folders[1] / "case_7.npy", read_file(folders[0] / "case_7.npy").substr(0, 1000));
  CHECK_THROWS_WITH(ensemble_folders(folders, world.root / "x"), Contains("not written to its end"));
  CHECK_THROWS_WITH(ensemble_folders({input}, world.root / "x"), Contains("data.json"));
}

TEST_CASE("Without data.patch the patch follows from the median shape") {
  const World world;
  const Dataset dataset = open_dataset("Dataset990_Balls", {world.root / "raw", {}});
  DataSettings settings;
  const NetworkInput input = network_request(config(0), settings, dataset, {"case_1", "case_2"}, {}).input;
  CHECK(input.patch == Shape3{12, 12, 16});
  CHECK(input.classes == 3);
  CHECK(input.channels == 1);
}

}  // namespace
}  // namespace m3d
