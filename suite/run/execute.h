#pragma once
// One run, from its data to its record.
#include "suite/run/harness.h"
#include "suite/run/run_data.h"
#include "suite/run/run_folder.h"

namespace m3d {

/// Everything that was checked and built before a run's folder is touched.
struct PreparedRun {
  RunSettings settings;
  std::shared_ptr<FoldData> data;
  NetworkRequest network;
};

/// Reads the settings, prepares the data and builds the network once. Throws UserError where something does not fit.
PreparedRun prepare_run(const RunConfig& config, DataCache& cache);

/// Trains, predicts, evaluates and profiles in `folder` (locked by the caller), continuing what is there. Any failure
/// but an interrupt becomes the result's status.
RunResult execute_run(const RunConfig& config, const PreparedRun& prepared, const std::filesystem::path& folder);

}  // namespace m3d
