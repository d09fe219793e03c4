#include <unistd.h>

#include <fstream>

#include "common/atomic_file.h"
#include "common/error.h"
#include "suite/evaluate/evaluate_folders.h"
#include "tests/catch.h"

using namespace m3d;
namespace fs = std::filesystem;

namespace {

/// Folders of predictions and references that vanish with the test.
struct Folders {
  Folders() : root(fs::temp_directory_path() / ("m3d_folders_test_" + std::to_string(getpid()))) {
    fs::remove_all(root);
    fs::create_directories(predictions());
    fs::create_directories(references());
  }
  ~Folders() { fs::remove_all(root); }
  fs::path predictions() const { return root / "predictions"; }
  fs::path references() const { return root / "references"; }
  fs::path root;
};

/// One row of voxels along x.
LabelImage row(const std::vector<std::int16_t>& voxels, double spacing = 1) {
  LabelImage image;
  image.geometry.shape = {1, 1, static_cast<std::int64_t>(voxels.size())};
  image.geometry.spacing_mm = {1, 1, spacing};
  image.voxels = voxels;
  return image;
}

EvaluationLabels two_classes() {
  EvaluationLabels labels;
  labels.classes = {{"a", {1}}, {"b", {2}}};
  labels.allowed_values = {0, 1, 2};
  labels.groups = {{"first", {"a"}}, {"all", {"a", "b"}}};
  return labels;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

fs::path records() { return fs::path(M3D_SOURCE_DIR) / "tests/records/pipeline/metrics"; }

/// The record's cases under nnU-Net's names.
void copy_record_cases(const Folders& folders) {
  for (const auto& entry : fs::directory_iterator(records())) {
    const std::string name = entry.path().filename().string();
    for (const auto& [ending, folder] : {std::pair{std::string("_pred.nii.gz"), folders.predictions()},
                                         std::pair{std::string("_ref.nii.gz"), folders.references()}})
      if (name.ends_with(ending) && !name.starts_with("brats"))
        fs::copy_file(entry.path(), folder / (name.substr(0, name.size() - ending.size()) + ".nii.gz"));
  }
}

}  // namespace

// The `.written` files are json.dump(summary, indent=4, sort_keys=True) of the records, as nnU-Net calls it.
TEST_CASE("summary.json has nnU-Net's bytes but for the folders", "[folders]") {
  const Folders folders;
  copy_record_cases(folders);
  const std::string name = GENERATE("summary_labels_1_to_4", "summary_regions");
  const Json record = Json::parse(read_file(records() / (name + ".json")));
  EvaluationLabels labels;
  labels.allowed_values = {0, 1, 2, 3, 4};
  for (const Json& entry : record.at("labels_or_regions")) {
    labels.region_based = entry.is_array();
    labels.classes.push_back({entry.dump(),
                              entry.is_array() ? entry.get<std::vector<int>>() : std::vector<int>{entry.get<int>()},
                              entry.is_array()});
  }
  Evaluation evaluation = evaluate_folders(folders.predictions(), folders.references(), labels);
  for (CaseEvaluation& one : evaluation.cases) {
    one.prediction = one.prediction.filename();
    one.reference = one.reference.filename();
  }
  CHECK(summary_text(evaluation) == read_file(records() / (name + ".written.json")));
}

TEST_CASE("means of summary.json are added as NumPy adds them", "[folders]") {
  Evaluation evaluation{two_classes(), {}};
  evaluation.labels.classes.resize(1);
  for (int i = 1; i <= 300; ++i) {
    CaseEvaluation one{"case", "p", "r", 1, {{}}};
    if (i % 7 != 0) one.structures[0].dice = 1.0 / i;
    evaluation.cases.push_back(one);
  }
  // numpy.nanmean([nan if i % 7 == 0 else 1 / i for i in range(1, 301)]); adding one by one gives 0.021955650252186144
  CHECK_THAT(summary_text(evaluation),
             Catch::Contains("\"mean\": {\n        \"1\": {\n            \"Dice\": 0.02195565025218615,"));
}

TEST_CASE("the metrics object: means, groups, misses and nulls", "[folders]") {
  const Folders folders;
  write_labels(folders.references() / "case1.nii.gz", row({1, 1, 0, 0}));
  write_labels(folders.predictions() / "case1.nii.gz", row({1, 1, 0, 0}));
  write_labels(folders.references() / "case2.nii.gz", row({1, 0, 0, 2}));
  write_labels(folders.predictions() / "case2.nii.gz", row({0, 0, 0, 2}));
  const Json metrics = metrics_json(evaluate_folders(folders.predictions(), folders.references(), two_classes()));
  CHECK(metrics.at("per_class").at("a").at("dice") == 0.5);
  CHECK(metrics.at("per_class").at("a").at("hd95_mm") == 0.0);
  CHECK(metrics.at("per_class").at("b").at("dice") == 1.0);
  CHECK(metrics.at("mean_dice") == 0.75);
  CHECK(metrics.at("mean_nsd") == 0.75);
  CHECK(metrics.at("mean_hd95_mm") == 0.0);
  CHECK(metrics.at("groups").at("first").at("dice") == 0.5);
  CHECK(metrics.at("groups").at("all").at("dice") == 0.75);
  CHECK(metrics.at("missed") == Json({{"a", 1}, {"b", 0}}));
  const double diagonal = std::sqrt(18.0);  // 1 × 1 × 4 mm
  CHECK(metrics.at("mean_hd95_mm_penalised").get<double>() == Approx(diagonal / 4));
  REQUIRE(metrics.at("per_case").size() == 4);
  CHECK(metrics.at("per_case")[1] ==
        Json({{"case", "case1"}, {"class", "b"}, {"dice", nullptr}, {"hd95_mm", nullptr}, {"nsd", nullptr}}));
  CHECK(metrics.at("per_case")[2].at("hd95_mm").is_null());
}

TEST_CASE("a class that occurs nowhere has null means and leaves the others alone", "[folders]") {
  const Folders folders;
  write_labels(folders.references() / "x.nii.gz", row({1, 0}));
  write_labels(folders.predictions() / "x.nii.gz", row({1, 0}));
  const Json metrics = metrics_json(evaluate_folders(folders.predictions(), folders.references(), two_classes()));
  CHECK(metrics.at("per_class").at("b").at("dice").is_null());
  CHECK(metrics.at("mean_dice") == 1.0);
  CHECK_THAT(summary_text(evaluate_folders(folders.predictions(), folders.references(), two_classes())),
             Catch::StartsWith("{\n    \"foreground_mean\": {\n        \"Dice\": NaN,"));
}

TEST_CASE("voxels that the reference ignores count nowhere", "[folders]") {
  EvaluationLabels labels = two_classes();
  labels.ignore_label = 3;
  labels.allowed_values.push_back(3);
  const CaseEvaluation one = evaluate_images("x", row({1, 1, 0, 0}), "p", row({1, 3, 3, 0}), "r", labels);
  CHECK(one.structures[0].dice == 1.0);
  CHECK(one.structures[0].false_positive == 0);
  CHECK(one.structures[0].true_negative == 1);
}

TEST_CASE("regions in summary.json are called as dataset.json writes them", "[folders]") {
  const Folders folders;
  write_labels(folders.references() / "x.nrrd", row({1, 3, 2}));
  write_labels(folders.predictions() / "x.mha", row({1, 3, 0}));  // each folder has its own ending
  std::ofstream(folders.root / "dataset.json")
      << R"({"labels": {"background": 0, "whole": [1, 2, 3], "core": [3], "rest": 2}})";
  const Evaluation evaluation =
      evaluate_folders(folders.predictions(), folders.references(), evaluation_labels(folders.root / "dataset.json"));
  const std::string text = summary_text(evaluation);
  for (const char* key : {"\"(1, 2, 3)\": {", "\"(3,)\": {", "\"2\": {"}) CHECK_THAT(text, Catch::Contains(key));
  CHECK(text.find("\"(2,)\"") == std::string::npos);
}

TEST_CASE("broken folders are named", "[folders]") {
  const Folders folders;
  const auto evaluate = [&](const std::vector<std::string>& ids = {}) {
    return message_of([&] { evaluate_folders(folders.predictions(), folders.references(), two_classes(), ids); });
  };
  CHECK(evaluate().find("references") != std::string::npos);  // empty folder
  write_labels(folders.references() / "x.nii.gz", row({1, 0, 2}));
  CHECK(evaluate().find((folders.predictions() / "x.nii.gz").string() + ": case 'x' has no prediction") == 0);
  CHECK(evaluate({"y"}).find((folders.references() / "y.nii.gz").string()) == 0);
  write_labels(folders.predictions() / "x.nii.gz", row({1, 0, 2}, 2.0));
  CHECK(evaluate().find("geometry differs") != std::string::npos);
  write_labels(folders.predictions() / "x.nii.gz", row({1, 0, 7}));
  CHECK(evaluate().find((folders.predictions() / "x.nii.gz").string() + ": label value 7") == 0);
  CHECK(message_of([&] {
          evaluate_folders(folders.root / "none", folders.references(), two_classes());
        }).find("none") != std::string::npos);
}

TEST_CASE("labels from a dataset.json", "[folders]") {
  const Folders folders;
  const fs::path file = folders.root / "dataset.json";
  const auto labels_of = [&](const std::string& text) {
    std::ofstream(file) << text;
    return evaluation_labels(file);
  };
  const EvaluationLabels labels = labels_of(
      R"({"labels": {"background": 0, "WT": [1, 2], "TC": [2], "ignore": 3}, "groups": {"g": ["TC"]}, "nsd_tolerance_mm": 2})");
  CHECK(labels.classes.size() == 2);
  CHECK(labels.region_based);
  CHECK(labels.allowed_values == std::vector<int>{0, 1, 2, 3});
  CHECK(labels.ignore_label == 3);
  CHECK(labels.groups.at("g") == std::vector<std::string>{"TC"});
  CHECK(labels.nsd_tolerance_mm == 2);
  CHECK(message_of([&] { labels_of(R"({"names": {}})"); }).find("labels") != std::string::npos);
  CHECK(message_of([&] { labels_of(R"({"labels": {"liver": "one"}})"); }).find("'liver'") != std::string::npos);
  CHECK(message_of([&] { labels_of(R"({"labels": {"liver": 1}, "groups": {"g": ["livre"]}})"); }).find("liver") !=
        std::string::npos);
}
