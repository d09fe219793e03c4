#pragma once
// From a suite, datasets and command-line flags to fully resolved runs.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ablations/run_config.h"
#include "ablations/suite.h"

namespace m3d {

struct SuiteDataset {
  std::string name;
  bool embedded = false;  // the suite's `embedded` values apply
};

/// A network whose cost every run is to meet: `match` gives `run` other widths, and says so in `run.match`. `like` is
/// the run of that network on the same data with the suite's options, those of axes left out.
struct BudgetRequest {
  std::string like;
  std::function<void(RunConfig& run, const RunConfig& like)> match;
};

/// What the command line asks for.
struct SuiteRequest {
  std::string suite;   // name or FILE.yaml
  std::string recipe;  // --recipe (name or FILE.yaml) in the place of the suite's; empty: the suite's
  std::vector<SuiteDataset> datasets;
  std::vector<std::string> architectures;  // --architecture (names or patterns); empty: the suite's
  std::vector<int> folds = {0};
  std::vector<std::uint64_t> seeds;  // --seed; empty: the suite's
  std::vector<std::string> axes;     // --axis, each NAME=[a,b] or NAME=a: instead of, or beside, the suite's
  std::vector<std::string> set;      // --set, each key=value
  std::string precision = "fp32";
  std::string device = "cpu";
  int shard = 1;  // --shard i/n: every n-th run, beginning with the i-th
  int shards = 1;
  std::optional<BudgetRequest> budget;
};

/// The product datasets × folds × seeds × architectures × axes, in this order (so that a comparison is whole before the
/// next seed begins). An axis that does not apply to an architecture does not multiply it. Runs that the suite
/// excludes, and second runs of one hash, carry a skip_reason. Throws UserError for anything that does not exist.
std::vector<RunConfig> expand(const SuiteRequest& request);

/// Options of one architecture from flat overrides ("model.scan"), checked; those of other architectures are ignored.
Json resolve_model(const Architecture& architecture, const Overrides& overrides);
/// Throws UserError when an option is none of these architectures'.
void require_known_options(const Overrides& overrides, const std::vector<const Architecture*>& architectures);

}  // namespace m3d
