#pragma once
// What networks will be built for, before any data is prepared.
#include <map>
#include <string>

#include "ablations/run_config.h"
#include "architectures/registry.h"
#include "datasets/dataset.h"

namespace m3d {

/// Remembers the datasets that it looked at.
class PlannedInputs {
 public:
  explicit PlannedInputs(DataRoots roots) : roots_(std::move(roots)) {}

  /// As network_input (run_data.h). Generates an embedded dataset where its cases decide the patch.
  NetworkInput of(const RunConfig& config);

 private:
  const Dataset& dataset_of(const std::string& name, bool needs_cases);

  DataRoots roots_;
  std::map<std::string, Dataset> datasets_;
};

/// The same for runs whose networks cost the same.
std::string network_key(const RunConfig& config, const NetworkInput& input);

}  // namespace m3d
