#pragma once
// All cases of a dataset under one configuration of a plan.
#include <functional>
#include <string>
#include <vector>

#include "datasets/preprocessing/planned_preprocessing.h"

namespace m3d {

struct PreprocessingJob {
  /// Whether a case needs no work: its result is there already. Empty: all are done anew.
  std::function<bool(const std::string& id)> is_done;
  /// Takes a finished case; called from several threads at once, each with a case of its own.
  std::function<void(const PreparedCase&)> take;
  /// Called after each case, one at a time, with the number of those that are done; may throw to stop.
  std::function<void(std::int64_t done, std::int64_t total)> progress;
  PlannedPreparation preparation;
  int threads = 0;  // at most; 0: one a processor
};

/// Prepares all training cases, several at once as far as memory allows (half of the machine's). Cases that cannot be
/// prepared do not stop the others. Returns one message for each of them.
std::vector<std::string> preprocess_dataset(const Dataset& dataset, const Plans& plans,
                                            const PlanConfiguration& configuration, const PreprocessingJob& job);

}  // namespace m3d
