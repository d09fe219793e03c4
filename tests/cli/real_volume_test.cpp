// Three small real CT and MR volumes (TotalSegmentator's test files) through the program: training, prediction and
// evaluation on what scanners really write. Skipped where the reference folder is absent.
#include "common/atomic_file.h"
#include "common/resources.h"
#include "datasets/dataset.h"
#include "datasets/image.h"
#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace m3d;
using namespace m3d::test;
namespace fs = std::filesystem;

namespace {

struct Pair {
  std::string id, image, labels;
};

/// An nnU-Net raw folder of `pairs`, with the labels of a known dataset.
fs::path raw_folder(const Workplace& place, const fs::path& real, const std::string& channel,
                    const std::string& labels_of, const std::vector<Pair>& pairs) {
  const fs::path folder = place.path() / "raw" / "Dataset502_Real";
  fs::create_directories(folder / "imagesTr");
  fs::create_directories(folder / "labelsTr");
  for (const Pair& pair : pairs) {
    fs::copy_file(real / pair.image, folder / "imagesTr" / (pair.id + "_0000.nii.gz"));
    fs::copy_file(real / pair.labels, folder / "labelsTr" / (pair.id + ".nii.gz"));
  }
  Json description{{"channel_names", {{"0", channel}}}, {"file_ending", ".nii.gz"}, {"numTraining", pairs.size()}};
  description["labels"] = dataset_descriptor(labels_of)["labels"];
  write_atomically(folder / "dataset.json", description.dump());
  return folder;
}

/// Trains a few steps on all cases, predicts all anew from the run, and evaluates them.
void train_predict_evaluate(const std::string& channel, const std::string& labels_of, const std::vector<Pair>& pairs) {
  const fs::path real = reference_folder() / "real";
  if (!fs::is_directory(real)) {
    WARN("skipped: " << real << " is absent");
    return;
  }
  const Workplace place;
  const fs::path folder = raw_folder(place, real, channel, labels_of, pairs);
  const Outcome trained =
      run(place, {"--suite", "smoke", "--dataset", "502", "--data-root", "raw", "--fold", "everything", "--axis",
                  "scan=[tri]", "--set", "train.epochs=1", "--json"});
  INFO(trained.err);
  REQUIRE(trained.exit_code == 0);
  const auto records = files_under(place.path() / "m3d-results", "record.json");
  REQUIRE(records.size() == 1);
  CHECK(Json::parse(read_file(records[0])).at("status") == "ok");

  const Pair& first = pairs.front();
  const Outcome predicted = run(place, {"predict", "--run", records[0].parent_path().string(), "--input",
                                        (folder / "imagesTr").string(), "--output", "output"});
  INFO(predicted.err);
  REQUIRE(predicted.exit_code == 0);
  const fs::path prediction = place.path() / "output" / (first.id + ".nii.gz");
  CHECK(same_geometry(read_geometry(prediction), read_geometry(real / first.image)));
  CHECK(read_file(prediction) == read_file(records[0].parent_path() / "predictions" / (first.id + ".nii.gz")));

  const Outcome evaluated = run(place, {"evaluate", "--predictions", "output", "--references",
                                        (folder / "labelsTr").string(), "--labels", (folder / "dataset.json").string(),
                                        "--json"});
  INFO(evaluated.err);
  CHECK(evaluated.exit_code == 0);
}

}  // namespace

TEST_CASE("real CT volumes: trained on, predicted in their own geometry, evaluated") {
  train_predict_evaluate("CT", "totalseg_ct",
                         {{"chest", "example_ct_sm.nii.gz", "example_seg.nii.gz"},
                          {"trunk", "example_ct.nii.gz", "example_seg_fast_force_split.nii.gz"}});
}

TEST_CASE("a real MR volume: trained on, predicted in its own geometry, evaluated") {
  train_predict_evaluate("MRI", "totalseg_mri", {{"abdomen", "example_mr_sm.nii.gz", "example_seg_mr.nii.gz"}});
}
