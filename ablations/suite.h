#pragma once
// A suite: which runs belong together. One YAML file a suite (ablations/suites/<name>.yaml, or a file of the user's).
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ablations/axis.h"
#include "ablations/overrides.h"

namespace m3d {

/// A combination that the suite leaves out, and why.
struct Exclusion {
  std::map<std::string, std::vector<std::string>> match;  // "architecture" (patterns) or axis name → values
  std::string reason;
};

struct AxisChoice {
  std::string name;
  std::vector<Placed> values;  // value names as strings; "default" among them
  std::string where;
};

struct Suite {
  std::string name;
  std::string description;
  std::string cost;    // expected time and memory in words
  Overrides base;      // the recipe's values under the suite's own
  Overrides embedded;  // over `base` on embedded datasets
  std::vector<AxisChoice> axes;
  std::vector<Placed> architectures;  // names or patterns
  std::vector<Exclusion> exclude;
  std::vector<std::uint64_t> seeds;  // {0} where the file gives none
};

/// By name, or by path (anything that ends in .yaml). `extends` names another suite in the same way, a path being
/// relative to the file that holds it. Throws UserError with file:line and the nearest valid name.
Suite load_suite(const std::string& name_or_file, const std::string& where);
std::vector<std::string> suite_names();

}  // namespace m3d
