// m3d-bench prepare as a user runs it.
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "common/atomic_file.h"
#include "datasets/catalogue/dataset.h"
#include "tests/catch.h"
#include "tests/cli/program.h"
#include "tests/datasets/small_dataset.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

std::string subject(int number) {
  char id[16];
  std::snprintf(id, sizeof id, "s%04d", number);
  return id;
}

ImageF volume_of(const Shape3& shape, double offset) {
  ImageF image;
  image.geometry.shape = shape;
  for (std::int64_t i = 0; i < voxel_count(shape); ++i)
    image.voxels.push_back(static_cast<float>(offset + static_cast<double>(i * 7919 % 1013)));
  return image;
}

LabelImage mask_of(const Shape3& shape, std::int64_t every) {
  LabelImage mask;
  mask.geometry.shape = shape;
  for (std::int64_t i = 0; i < voxel_count(shape); ++i) mask.voxels.push_back(i % every == 0 ? 1 : 0);
  return mask;
}

/// Subjects as TotalSegmentator MRI distributes them, with masks of the first `masks` classes.
void download_of(const Workplace& place, int subjects, const Shape3& shape, std::size_t masks = 2) {
  const fs::path source = place.path() / "download";
  const auto classes = describe_dataset("totalseg_mri", {}).classes;
  for (int i = 1; i <= subjects; ++i) {
    const fs::path folder = source / subject(i);
    write_image(folder / "mri.nii.gz", volume_of(shape, i));
    const fs::path first = folder / "segmentations" / (classes.front().name + ".nii.gz");
    write_labels(first, mask_of(shape, 3));
    for (std::size_t mask = 1; mask < masks; ++mask)
      fs::create_hard_link(first, first.parent_path() / (classes[mask].name + ".nii.gz"));
  }
}

const std::vector<std::string> kPrepare = {"prepare",     "--dataset", "totalseg_mri", "--source", "download",
                                           "--data-root", "raw",       "--workers",    "1"};

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("prepare converts a download, says what disk it takes, and the dataset is found by its name") {
  const Workplace place;
  download_of(place, 5, {4, 6, 8});
  const Outcome prepared = run(place, with(kPrepare, {"--json"}));
  INFO(prepared.err);
  REQUIRE(prepared.exit_code == 0);
  CHECK_THAT(prepared.err, Contains("a subset: 5 of 616"));
  CHECK_THAT(prepared.err, Contains("converted: up to ") && Contains("preprocessed: up to ") && Contains("free)"));
  CHECK(prepared.err.find("preprocessed: up to ") == prepared.err.rfind("preprocessed: up to "));  // said once
  const Json summary = prepared.json();
  CHECK(summary["dataset"] == "totalseg_mri");
  CHECK(summary["cases"] == 5);
  CHECK(summary["classes"].size() == 50);
  CHECK(summary["unusable_cases"].empty());
  CHECK(summary["splits"].contains("nnunet"));
  const Outcome again = run(place, kPrepare);
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.out, Contains("totalseg_mri: 5 cases, 1 channels, 50 classes"));
  const Outcome found = run(place, {"prepare", "--dataset", "totalseg_mri", "--data-root", "raw", "--json"});
  CHECK(found.json()["cases"] == 5);
}

TEST_CASE("prepare plans and preprocesses raw data in nnU-Net's layout, and goes on where it was killed") {
  const Workplace place;
  download_of(place, 6, {20, 40, 40}, 3);
  const Outcome converted = run(place, with(kPrepare, {"--plan", "none"}));
  REQUIRE(converted.exit_code == 0);
  REQUIRE_FALSE(fs::exists(place.path() / "raw" / "nnUNet_preprocessed"));
  const std::vector<std::string> prepare = {"prepare", "--dataset", "227", "--data-root", "raw"};
  Program killed(place, prepare);
  REQUIRE(wait_for_file(place.path() / "raw", ".pkl"));
  killed.signal(SIGKILL);
  killed.wait();
  const Outcome prepared = run(place, with(prepare, {"--json"}));
  INFO(prepared.err);
  REQUIRE(prepared.exit_code == 0);
  const fs::path folder = place.path() / "raw" / "nnUNet_preprocessed" / "Dataset227_TotalSegmentatorMRI";
  const fs::path cases = folder / "nnUNetPlans_3d_fullres";
  const Json fullres = prepared.json()["preprocessed"]["3d_fullres"];
  CHECK(fullres["patch"].size() == 3);
  CHECK(fullres["plans"] == "nnUNetPlans");
  CHECK(files_under(cases, ".pkl").size() == 6);
  CHECK(files_under(cases, "").size() == 18);  // nothing half written among them
  CHECK(fs::exists(folder / "gt_segmentations" / "s0001.nii.gz"));
  const auto written = [&] { return fs::last_write_time(cases / "s0001.b2nd"); };
  const auto first = written();
  CHECK(run(place, prepare).exit_code == 0);
  CHECK(written() == first);
  CHECK(run(place, with(prepare, {"--rebuild"})).exit_code == 0);
  CHECK(written() != first);
  CHECK(run(place, with(prepare, {"--configuration", "2d"})).exit_code == 0);
  CHECK(files_under(folder / "nnUNetPlans_2d", ".pkl").size() == 6);

  const Outcome unknown = run(place, with(prepare, {"--plan", "plane"}));
  CHECK(unknown.exit_code == 2);
  CHECK_THAT(unknown.err, Contains("--plan") && Contains("plain"));
  const Outcome configuration = run(place, with(prepare, {"--configuration", "3d_fulres"}));
  CHECK(configuration.exit_code == 2);
  CHECK_THAT(configuration.err, Contains("3d_fullres"));
}

TEST_CASE("prepare names the folder that it cannot write preprocessed cases to") {
  const Workplace place;
  download_of(place, 5, {4, 6, 8});
  REQUIRE(run(place, with(kPrepare, {"--plan", "none"})).exit_code == 0);
  write_atomically(place.path() / "raw" / "nnUNet_preprocessed", "a file where a folder belongs");
  const Outcome refused = run(place, {"prepare", "--dataset", "227", "--data-root", "raw"});
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("nnUNet_preprocessed") && Contains("not a folder"));
}

TEST_CASE("prepare refuses what the disk cannot hold before it begins") {
  const Workplace place;
  const fs::path folder = write_small_dataset(place.path() / "raw");
  ImageF image = read_image(folder / "imagesTr" / "a_0000.nii.gz");
  LabelImage labels = read_labels(folder / "labelsTr" / "a.nii.gz");
  image.geometry.spacing_mm = labels.geometry.spacing_mm = {1e5, 1e5, 1e5};  // petabytes at the others' spacing
  write_image(folder / "imagesTr" / "a_0000.nii.gz", image);
  write_labels(folder / "labelsTr" / "a.nii.gz", labels);
  const Outcome refused = run(place, {"prepare", "--dataset", "501", "--data-root", "raw"});
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("not enough disk: preprocessed data need about") && Contains("are free"));
  CHECK_FALSE(fs::exists(place.path() / "raw" / "nnUNet_preprocessed"));
}

TEST_CASE("prepare without data: where to get it, under which licence, and the command that follows") {
  const Workplace place;
  const Outcome absent = run(place, {"prepare", "--dataset", "totalseg_ct:version=v1"});
  CHECK(absent.exit_code == 2);
  CHECK_THAT(absent.err, Contains("CC BY 4.0") && Contains("zenodo.org/record/6802614") &&
                             Contains("m3d-bench prepare --dataset totalseg_ct-v1 --source"));
  const Outcome elsewhere = run(place, {"prepare", "--dataset", "totalseg_ct", "--source", "nowhere"});
  CHECK(elsewhere.exit_code == 2);
  CHECK_THAT(elsewhere.err, Contains("--source nowhere is not a folder"));
  CHECK_THAT(run(place, {"prepare", "--dataset", "acdc", "--link", "soft"}).err, Contains("symlink"));
}

TEST_CASE("prepare that is killed goes on where it was, and two at once do not mix") {
  const Workplace place;
  download_of(place, 12, {40, 120, 120}, 30);
  const Program killed(place, kPrepare);
  REQUIRE(wait_for_file(place.path() / "raw", "labelsTr/s0001.nii.gz"));
  killed.signal(SIGSTOP);  // it holds its lock, and does not finish meanwhile
  const Outcome second = run(place, kPrepare);
  CHECK(second.exit_code == 2);
  CHECK_THAT(second.err, Contains("is being prepared by another process"));
  killed.signal(SIGKILL);
  Program(killed).wait();
  const fs::path folder = place.path() / "raw" / "Dataset227_TotalSegmentatorMRI";
  REQUIRE_FALSE(fs::exists(folder / "dataset.json"));
  const auto first_written = fs::last_write_time(folder / "labelsTr" / "s0001.nii.gz");
  const Outcome half = run(place, {"--suite", "smoke", "--dataset", "totalseg_mri", "--data-root", "raw"});
  CHECK(half.exit_code == 2);
  CHECK_THAT(half.err, Contains("half converted"));

  const Outcome resumed = run(place, kPrepare);
  INFO(resumed.err);
  CHECK(resumed.exit_code == 0);
  CHECK(fs::last_write_time(folder / "labelsTr" / "s0001.nii.gz") == first_written);
  CHECK(files_under(folder / "labelsTr", ".nii.gz").size() == 12);
  CHECK(files_under(folder, "").size() == files_under(folder, ".nii.gz").size() + 5);  // 2 folders, lock, 2 JSON files
}

TEST_CASE("prepare that is interrupted ends with 130 and keeps what is whole") {
  const Workplace place;
  download_of(place, 12, {40, 120, 120}, 30);
  Program program(place, kPrepare);
  REQUIRE(wait_for_file(place.path() / "raw", "labelsTr/s0001.nii.gz"));
  program.signal(SIGINT);
  const Outcome interrupted = program.wait();
  CHECK(interrupted.exit_code == 130);
  CHECK_FALSE(fs::exists(place.path() / "raw" / "Dataset227_TotalSegmentatorMRI" / "dataset.json"));
}
