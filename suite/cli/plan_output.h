#pragma once
// The expanded plan, for people and for programs.
#include <vector>

#include "suite/run/harness.h"

namespace m3d {

/// A line a run with hash, parameters, MACs, state (and reason) and name; then totals.
void print_plan(const std::vector<PlannedRun>& plan);
/// {"runs": [{hash, name, …, state, reason}], "totals": {state: count, "macs": …}}
Json plan_json(const std::vector<PlannedRun>& plan);

}  // namespace m3d
