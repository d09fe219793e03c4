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

/// How to train and infer, without an architecture. One YAML file a recipe (ablations/recipes/<name>.yaml).
struct Recipe {
  std::string name;
  std::string description;
  std::string source;  // where its values come from
  Overrides settings;
};

struct Suite {
  std::string name;
  std::string description;
  std::string cost;           // expected time and memory in words
  Overrides recipe;           // values of the suite's recipe, lowest of all
  Overrides base;             // the suite's own
  Overrides embedded_recipe;  // on embedded datasets: over `base` and, unless empty, in the place of `recipe`
  Overrides embedded;         // the suite's own on embedded datasets, over all of these
  std::vector<AxisChoice> axes;
  std::vector<Placed> architectures;  // names or patterns
  std::vector<Exclusion> exclude;
  std::vector<std::uint64_t> seeds;  // {0} where the file gives none
};

/// By name, or by path (anything that ends in .yaml). `extends` names another suite in the same way, a path being
/// relative to the file that holds it. `recipe` (name or file, --recipe), unless empty, replaces the recipes that the
/// suite names, or is laid below a suite that names none; what the suite itself sets stays. Throws UserError with
/// file:line and the nearest valid name.
Suite load_suite(const std::string& name_or_file, const std::string& where, const std::string& recipe = "");
/// The same from a suite's layers, whatever they were read from.
Suite read_suite(const LayeredYaml& yaml, const std::string& recipe = "");
std::vector<std::string> suite_names();

/// By name, or by path (anything that ends in .yaml). Throws UserError as above.
Recipe load_recipe(const std::string& name_or_file, const std::string& where);
std::vector<std::string> recipe_names();

}  // namespace m3d
