#pragma once
// What networks will be built for, before any data is prepared.
#include <map>
#include <string>

#include "ablations/run_config.h"
#include "datasets/catalogue/dataset.h"
#include "suite/run/run_data.h"

namespace m3d {

/// Remembers the datasets that it looked at.
class PlannedInputs {
 public:
  explicit PlannedInputs(DataRoots roots) : roots_(std::move(roots)), plans_(RunPlans::Purpose::estimate) {}

  /// As network_request (run_data.h). Generates an embedded dataset where its cases decide the patch.
  NetworkRequest of(const RunConfig& config);

 private:
  const Dataset& dataset_of(const std::string& name, bool needs_cases);

  DataRoots roots_;
  RunPlans plans_;
  std::map<std::string, Dataset> datasets_;
};

/// The same for runs whose networks cost the same.
std::string network_key(const RunConfig& config, const NetworkRequest& request);

}  // namespace m3d
