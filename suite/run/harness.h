#pragma once
// From resolved runs to run folders: train → infer → evaluate → profile → record. DESIGN.md, "Data flow", "On disk".
#include <filesystem>
#include <string>
#include <vector>

#include "ablations/run_config.h"
#include "architectures/macs.h"

namespace m3d {

struct HarnessOptions {
  std::filesystem::path output;     // --out
  std::filesystem::path data_root;  // --data-root; empty: the environment's, else <output>/data for embedded datasets
  bool fresh = false;               // repeat everything, also what is done or damaged
  std::string command;              // the command line, for the records
};

enum class RunState {
  fresh,    // nothing there yet
  partial,  // interrupted: continues from its checkpoint
  done,     // has a record with status ok: never repeated
  failed,   // has a record that says why: tried again, from its last checkpoint where there is one
  skipped,  // excluded by the suite
  damaged,  // its record cannot be understood: left alone unless --fresh
};

struct PlannedRun {
  RunConfig config;
  std::filesystem::path folder;  // <output>/<suite>/<dataset>/<name>-<hash8>
  RunState state = RunState::fresh;
  std::string reason;           // of failed, skipped, damaged
  std::int64_t parameters = 0;  // with costs only
  MacCounts macs;               // batch 1 at the run's patch; with costs only
};

/// Looks at the disk, writes nothing there (except that an embedded dataset without a patch setting is generated when
/// costs are wanted). `with_costs` also counts parameters and MACs. Throws UserError for runs that cannot be.
std::vector<PlannedRun> plan_runs(const std::vector<RunConfig>& configs, const HarnessOptions& options,
                                  bool with_costs);

struct SuiteOutcome {
  int done = 0, failed = 0, skipped = 0, already_done = 0;  // a damaged record counts as failed
};

/// Does what is to be done, updating the states of `runs`. A run that fails leaves a record with its status and the
/// others go on. Throws UserError before anything is written where settings or data cannot be used; later only when
/// another process holds a run's folder or an interrupted run was begun with other cases than its split has now. Throws
/// Interrupted after a signal, with the state saved.
SuiteOutcome execute_runs(std::vector<PlannedRun>& runs, const HarnessOptions& options);

/// The network of a run with its weights: `checkpoint` is "final", "best" or empty (the one the run predicts with).
/// Throws UserError for a folder that is no run.
std::shared_ptr<Network> network_of_run(const std::filesystem::path& run_folder, const std::string& checkpoint);

struct PredictionRequest {
  /// Finished runs, or folders that hold such runs. Several must differ in fold or seed alone: the mean of their logits
  /// is taken, as nnU-Net does with folds (inference/predict_from_raw_data.py).
  std::vector<std::filesystem::path> runs;
  std::filesystem::path input, output;
  std::string device;               // empty: the run's
  bool save_probabilities = false;  // also <case>.npy, and data.json for ensemble_folders
  /// For the second stage of a cascade: the first stage's predictions of the same cases, <case>.nii.gz in their own
  /// geometry (nnU-Net's -prev_stage_predictions).
  std::filesystem::path previous_stage = {};
};

/// Segments every case of `input` (nnU-Net names: <case>_0000.nii.gz, …) and writes `output`/<case>.nii.gz. Throws
/// UserError for a folder that is no finished run, for runs that do not make one ensemble, for missing channels and for
/// missing predictions of a cascade's first stage.
void predict_folder(const PredictionRequest& request);

/// Averages the probabilities that predictions of several configurations saved and writes `output`/<case>.nii.gz, as
/// nnU-Net's ensembling/ensemble.py does. Throws UserError where the folders differ in cases, classes or shapes.
void ensemble_folders(const std::vector<std::filesystem::path>& folders, const std::filesystem::path& output);

}  // namespace m3d
