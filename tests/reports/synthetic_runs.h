#pragma once
// Run folders with every file that the harness writes, from a few numbers.
#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d::testing {

/// A folder below the system's temporary one that is removed at the end.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct SyntheticRun {
  std::string architecture = "ulike_mamba_3d", title = "UlikeMamba_3d", family = "mamba";
  Json axes = {{"scan", "single"}};
  std::string suite = "scanning", dataset = "phantom_mri", status = "ok";
  std::uint64_t seed = 0;
  int fold = 0;
  double dice = 0.85;  // of the anatomy group; classes and cases spread around it
  int cases = 8;
  double parameters = 1.2e6, macs = 3.4e9;
  std::array<int, 3> patch = {32, 64, 64};
  bool process_memory = true;  // measured; else only that of the tensors
  int position = 0;
  std::string started = "2026-01-05T10:00:00Z";
  std::string dataset_folder = {};
};

/// The record of such a run, as DESIGN.md lays it out.
Json record_of(const SyntheticRun& run);
std::string hash_of(const SyntheticRun& run);
/// Writes record.json, config.yaml, log.csv and scan_orders.json into a new folder below `root`; returns the folder.
std::filesystem::path write_run(const std::filesystem::path& root, const SyntheticRun& run);

/// Six scan strategies with `seeds` seeds each; tri is best, dual_random worst; dual_dwh costs most.
std::vector<SyntheticRun> scanning_suite(int seeds);
/// Two architectures at three patches, of which the attention does not fit at the largest one.
std::vector<SyntheticRun> patch_suite();
/// Two 3D blobs in `cases` NIfTI cases of an nnU-Net raw dataset below `root`; returns its folder.
std::filesystem::path write_dataset(const std::filesystem::path& root, int cases);
/// Predictions for the cases of `write_dataset`: the reference, displaced by `error` voxels.
void write_predictions(const std::filesystem::path& run_folder, const std::filesystem::path& dataset_folder, int error);

}  // namespace m3d::testing
