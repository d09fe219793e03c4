#include "suite/run/harness.h"

#include <optional>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "suite/profile/profile.h"
#include "suite/run/execute.h"
#include "suite/run/planned_inputs.h"
#include "suite/run/run_folder.h"
#include "suite/train/targets.h"

namespace m3d {
namespace {

bool is_to_be_done(RunState state) {
  return state == RunState::fresh || state == RunState::partial || state == RunState::failed;
}

PlannedRun plan_run(const RunConfig& config, const HarnessOptions& options) {
  PlannedRun run;
  run.config = config;
  run.folder = run_folder_of(config, options.output);
  RunInspection found = inspect_run(run.folder, config);
  if (options.fresh && found.state != RunState::skipped) found = {};
  run.state = found.state;
  run.reason = found.reason;
  return run;
}

/// Counts parameters and MACs; runs that differ in seed or fold alone share them.
class CostCounter {
 public:
  explicit CostCounter(DataRoots roots) : inputs_(std::move(roots)) {}

  void count(PlannedRun& run) {
    const NetworkRequest request = inputs_.of(run.config);
    const auto [entry, is_new] = known_.try_emplace(network_key(run.config, request));
    if (is_new) {
      const Architecture& architecture = find_architecture(run.config.architecture);
      entry->second.parameters = count_parameters(architecture, request.input, request.model);
      entry->second.macs = count_macs(architecture, request.input, request.model);
    }
    run.parameters = entry->second.parameters;
    run.macs = entry->second.macs;
  }

 private:
  struct Costs {
    std::int64_t parameters = 0;
    MacCounts macs;
  };

  PlannedInputs inputs_;
  std::map<std::string, Costs> known_;
};

/// Does one run under its folder's lock; another process may have done it since the plan was made.
void execute_planned(PlannedRun& run, const PreparedRun& prepared, const HarnessOptions& options) {
  const FolderLock lock(run.folder);
  const RunState found = inspect_run(run.folder, run.config).state;
  if (!options.fresh && found == RunState::done) {
    run.state = RunState::done;
    return;
  }
  if (options.fresh) clear_run_folder(run.folder);
  require_same_data(run.folder, *prepared.data);
  const RunResult result = execute_run(run.config, prepared, run.folder);
  write_record(run.folder, run.config, result, options.command);
  run.state = result.status == "ok" ? RunState::done : RunState::failed;
  run.reason = result.status == "ok" ? "" : result.status + ": " + result.error;
}

void tell(const PlannedRun& run) {
  const std::string name = run.config.dataset + "/" + run.config.name;
  if (run.state == RunState::failed) log(LogLevel::error, name + " " + run.reason);
  if (run.state == RunState::damaged) log(LogLevel::error, name + " left alone: " + run.reason);
  if (run.state == RunState::skipped) log(LogLevel::info, name + " skipped: " + run.reason);
}

}  // namespace

std::vector<PlannedRun> plan_runs(const std::vector<RunConfig>& configs, const HarnessOptions& options,
                                  bool with_costs) {
  std::vector<PlannedRun> runs;
  CostCounter costs({options.data_root, options.output});
  for (const RunConfig& config : configs) {
    runs.push_back(plan_run(config, options));
    if (with_costs && runs.back().state != RunState::skipped) costs.count(runs.back());
  }
  return runs;
}

SuiteOutcome execute_runs(std::vector<PlannedRun>& runs, const HarnessOptions& options) {
  DataCache cache({options.data_root, options.output});
  for (const PlannedRun& run : runs)
    if (is_to_be_done(run.state)) prepare_run(run.config, cache);
  SuiteOutcome outcome;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    PlannedRun& run = runs[i];
    const bool to_be_done = is_to_be_done(run.state);
    if (to_be_done && interrupt_requested()) throw Interrupted();
    if (to_be_done) {
      log(LogLevel::info, "run " + std::to_string(i + 1) + " of " + std::to_string(runs.size()) + ": " +
                              run.config.dataset + "/" + run.config.name);
      execute_planned(run, prepare_run(run.config, cache), options);
    }
    tell(run);
    if (run.state == RunState::done) ++(to_be_done ? outcome.done : outcome.already_done);
    if (run.state == RunState::skipped) ++outcome.skipped;
    if (run.state == RunState::failed || run.state == RunState::damaged) ++outcome.failed;
  }
  return outcome;
}

}  // namespace m3d
