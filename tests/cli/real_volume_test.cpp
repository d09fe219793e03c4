// Three small real CT and MR volumes (TotalSegmentator's test files) through the program: training, prediction and
// evaluation on what scanners really write. Skipped where the reference folder is absent.
#include "common/atomic_file.h"
#include "common/resources.h"
#include "datasets/catalogue/dataset.h"
#include "datasets/images/image.h"
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
  const Outcome trained = run(place, {"--suite", "smoke", "--dataset", "502", "--data-root", "raw", "--fold",
                                      "everything", "--axis", "scan=[tri]", "--set", "train.epochs=1", "--json"});
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

  const Outcome evaluated =
      run(place, {"evaluate", "--predictions", "output", "--references", (folder / "labelsTr").string(), "--labels",
                  (folder / "dataset.json").string(), "--json"});
  INFO(evaluated.err);
  CHECK(evaluated.exit_code == 0);
}

/// The volume moved by `voxels` along its fastest axis, what leaves it at one end enters at the other.
template <class T>
Image<T> shifted(const Image<T>& image, std::int64_t voxels) {
  Image<T> result = image;
  const Shape3& shape = image.shape();
  for (std::int64_t z = 0; z < shape[0]; ++z)
    for (std::int64_t y = 0; y < shape[1]; ++y)
      for (std::int64_t x = 0; x < shape[2]; ++x) result.at(z, y, (x + voxels) % shape[2]) = image.at(z, y, x);
  return result;
}

/// Five subjects as TotalSegmentator MRI distributes them, from its one public MR volume.
void write_download(const fs::path& real, const fs::path& source) {
  const ImageF image = read_image(real / "example_mr_sm.nii.gz");
  const LabelImage labels = read_labels(real / "example_seg_mr.nii.gz");
  for (int i = 0; i < 5; ++i) {
    const fs::path subject = source / ("s000" + std::to_string(i + 1));
    write_image(subject / "mri.nii.gz", shifted(image, 4 * i));
    const LabelImage moved = shifted(labels, 4 * i);
    for (const LabelClass& one : describe_dataset("totalseg_mri", {}).classes) {
      LabelImage mask = moved;
      for (auto& voxel : mask.voxels) voxel = voxel == one.values.front() ? 1 : 0;
      write_labels(subject / "segmentations" / (one.name + ".nii.gz"), mask);
    }
  }
}

}  // namespace

TEST_CASE("TotalSegmentator MRI as it is distributed: prepared, planned by the scanning suite, and trained on") {
  const fs::path real = reference_folder() / "real";
  if (!fs::is_directory(real)) {
    WARN("skipped: " << real << " is absent");
    return;
  }
  const Workplace place;
  write_download(real, place.path() / "download");
  const Outcome prepared =
      run(place, {"prepare", "--dataset", "totalseg_mri", "--source", "download", "--data-root", "raw", "--json"});
  INFO(prepared.err);
  REQUIRE(prepared.exit_code == 0);
  CHECK(prepared.json()["unusable_cases"].empty());
  const Dataset dataset = open_dataset("totalseg_mri", {place.path() / "raw", {}});
  REQUIRE(dataset.training.size() == 5);
  CHECK(load_case(dataset, dataset.training[0]).labels.voxels == read_labels(real / "example_seg_mr.nii.gz").voxels);

  const std::vector<std::string> scanning = {"--suite",     "scanning", "--dataset", "totalseg_mri",
                                             "--data-root", "raw",      "--json"};
  std::vector<std::string> arguments = scanning;
  arguments.push_back("--dry-run");
  const Outcome planned = run(place, arguments);
  INFO(planned.err);
  REQUIRE(planned.exit_code == 0);
  CHECK(planned.json()["runs"].size() == 6);

  arguments = scanning;
  for (const char* argument : {"--axis", "scan=[tri]", "--set", "train.epochs=1", "train.iterations_per_epoch=2",
                               "train.validation_iterations=1", "data.patch=[32,64,64]", "data.max_validation_cases=1",
                               "profile.enabled=false", "model.encoder_embed_dims=[8,8,8,8]", "model.stem_channels=8",
                               "model.depths_en=[1,1,1,1]", "model.depths=[1,1,1]"})
    arguments.push_back(argument);
  const Outcome trained = run(place, arguments);
  INFO(trained.err);
  REQUIRE(trained.exit_code == 0);
  const auto records = files_under(place.path() / "m3d-results", "record.json");
  REQUIRE(records.size() == 1);
  const Json record = Json::parse(read_file(records[0]));
  CHECK(record.at("status") == "ok");
  CHECK(record.at("metrics").at("per_class").size() == 50);
  CHECK_THAT(read_file(records[0].parent_path() / "config.yaml"), Catch::Contains("name: nnunet"));
}

TEST_CASE("real CT volumes: trained on, predicted in their own geometry, evaluated") {
  train_predict_evaluate("CT", "totalseg_ct",
                         {{"chest", "example_ct_sm.nii.gz", "example_seg.nii.gz"},
                          {"trunk", "example_ct.nii.gz", "example_seg_fast_force_split.nii.gz"}});
}

TEST_CASE("a real MR volume: trained on, predicted in its own geometry, evaluated") {
  train_predict_evaluate("MRI", "totalseg_mri", {{"abdomen", "example_mr_sm.nii.gz", "example_seg_mr.nii.gz"}});
}
