#pragma once
// What lies in a run folder and how it is read and written.
#include <filesystem>
#include <string>

#include "ablations/run_config.h"
#include "architectures/registry.h"
#include "suite/run/harness.h"
#include "suite/run/run_data.h"

namespace m3d {

std::filesystem::path run_folder_of(const RunConfig& config, const std::filesystem::path& output);

/// State of a run by what its folder holds.
struct RunInspection {
  RunState state = RunState::fresh;
  std::string reason;
};
RunInspection inspect_run(const std::filesystem::path& folder, const RunConfig& config);

/// Removes everything but the lock.
void clear_run_folder(const std::filesystem::path& folder);

/// Writes config.yaml (the resolved configuration and the keys `dataset_folder`, `split`, `plan`, `previous_stage`,
/// `architecture_title`, `architecture_family` for readers), data.json (what prediction needs to know of the dataset)
/// and scan_orders.json (the permutations of the first stage on a grid of 4 x 8 x 8 tokens).
void write_run_description(const std::filesystem::path& folder, const RunConfig& config, const FoldData& data,
                           const Shape3& patch);

/// Throws UserError when the run in `folder` was begun with other training or validation cases, by another plan or with
/// other segmentations of a cascade's first stage than `data` has now: it must not go on with them.
void require_same_data(const std::filesystem::path& folder, const FoldData& data);

/// The configuration that config.yaml holds. Throws UserError where there is none.
RunConfig read_run_config(const std::filesystem::path& folder);

/// data.json: classes and channels of the (limited) dataset, patch, and the intensity statistics or the plan.
struct PredictionContext {
  Dataset dataset;  // without cases
  Fingerprint fingerprint;
  std::optional<RunPlan> plan;  // `fingerprint` is empty where there is one
  Shape3 patch{};
};
PredictionContext read_prediction_context(const std::filesystem::path& folder);

/// record.json without its results: `status` ok unless `error` is given.
struct RunResult {
  std::string status = "ok";  // ok | failed | diverged | oom
  std::string error;
  Json metrics, profile;  // null where the run did not come so far
  std::string started, finished;
};
void write_record(const std::filesystem::path& folder, const RunConfig& config, const RunResult& result,
                  const std::string& command);

}  // namespace m3d
