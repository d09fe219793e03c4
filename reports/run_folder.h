#pragma once
// What a run left behind, read from its folder: record.json, config.yaml, log.csv, scan_orders.json. This is all that
// the reports know about a run; the harness is never asked.
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d::reports {

/// Dice and NSD in [0, 1], distances in millimetres; absent where undefined.
struct Metrics {
  std::optional<double> dice, hd95_mm, nsd;
};

struct CaseMetrics {
  std::string case_id, class_name;
  Metrics metrics;
};

inline constexpr double kGibibyte = 1024.0 * 1024 * 1024;  // bytes

/// What a run cost. Plain counts, bytes and per-second rates; absent where it was not measured.
struct Profile {
  std::optional<double> parameters, macs, scan_macs, macs_at_128, scan_state_updates, predicted_tensor_bytes,
      peak_tensor_bytes, peak_memory_bytes, train_seconds, train_patches_per_second, inference_voxels_per_second;
  std::string patch, device;  // "32×64×64"
  std::optional<double> patch_voxels;

  /// The process's or the device's peak in training; where that was not measured, that of the tensors.
  std::optional<double> memory_bytes() const { return peak_memory_bytes ? peak_memory_bytes : peak_tensor_bytes; }
  std::optional<double> training_seconds_a_patch() const;
  std::optional<double> inference_seconds_a_patch() const;
};

/// The columns of log.csv by header name; an empty field is absent.
using TrainingLog = std::map<std::string, std::vector<std::optional<double>>>;

/// `permutation[i]` is the row-major token of `grid` [D, H, W] that is read at position i.
struct ScanOrder {
  std::string name;
  std::array<std::int64_t, 3> grid{};
  std::vector<std::int64_t> permutation;
};

struct Run {
  std::filesystem::path folder;
  std::string suite, dataset, architecture;
  std::string title, family;  // of the architecture, for people; from config.yaml, else the name and ""
  std::vector<std::pair<std::string, std::string>> axes;  // name, value as text; in the record's order
  std::int64_t position = 0;                              // in the suite; 0 where config.yaml does not say
  std::map<std::string, std::string> settings;            // "model.<option>", "train.epochs" …, without seeds
  int fold = 0;
  std::uint64_t seed = 0;
  std::string status, error, hash;
  Metrics mean;
  std::optional<double> mean_hd95_mm_penalised;
  std::vector<std::pair<std::string, Metrics>> groups, per_class;
  std::vector<CaseMetrics> per_case;
  std::optional<double> missed;  // over all classes
  Profile profile;
  std::map<std::string, std::string> provenance;
  std::filesystem::path dataset_folder;
  std::string split;  // name of the split, from config.yaml
  std::string leak;   // what it means that patients are on both sides of it; empty: none is
  std::int64_t leaking_patients = 0;
  TrainingLog log;
  std::vector<ScanOrder> scan_orders;

  bool ok() const { return status == "ok"; }
};

/// A folder whose record cannot be used, and why.
struct DamagedRun {
  std::filesystem::path folder;
  std::string reason;
};

struct FoundRuns {
  std::vector<Run> runs;  // in the suite's order, then as they were started
  std::vector<DamagedRun> damaged;
  std::vector<std::filesystem::path> unfinished;  // config.yaml without record.json
  std::vector<std::string> remarks;               // side files that could not be read, repeated experiments
};

/// Reads every run folder in or below `folders`. Side files that are damaged cost their figure, not the run. An
/// experiment (hash) found twice counts once: the one that finished last. Throws UserError where a folder does not
/// exist.
FoundRuns find_runs(const std::vector<std::filesystem::path>& folders);

/// Throws UserError that says what is wrong with the record.
Run read_run(const std::filesystem::path& folder, std::vector<std::string>& remarks);

}  // namespace m3d::reports
