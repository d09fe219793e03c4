#pragma once
// An ablation axis: named values, each of which sets architecture options or settings. One YAML file an axis
// (ablations/axes/<name>.yaml); adding an ablation needs nothing else.
#include <filesystem>
#include <string>
#include <vector>

#include "ablations/overrides.h"

namespace m3d {

struct Architecture;  // architectures/registry.h

/// In a list of axis values: leave what the architecture and the suite's base say. The run records which value it is.
inline constexpr const char* kAxisDefault = "default";

struct AxisValue {
  std::string value;  // what suites and --axis write, and records hold
  std::string title;  // as tables print it
  std::string description;
  Overrides set;  // "model.scan" → tri
};

struct Axis {
  std::string name;
  std::string description;
  std::string default_value;
  std::vector<std::string> architectures;  // names, or patterns with * and ?
  std::vector<AxisValue> values;

  /// True where a pattern matches and the architecture has every option that the axis sets.
  bool applies_to(const Architecture& architecture) const;
  /// Throws UserError "<where>: unknown value …" with the nearest one.
  const AxisValue& at(const std::string& value, const std::string& where) const;
  std::vector<std::string> value_names() const;
  /// The value whose `set` a run with these options and nested settings has; empty when there is none.
  std::string value_of(const Json& model, const Json& settings) const;
};

/// All axes, by name. Throws UserError (file:line) for a file that is not as described above.
std::vector<Axis> all_axes();
/// Throws UserError "<where>: unknown axis …" with the nearest one.
const Axis& find_axis(const std::vector<Axis>& axes, const std::string& name, const std::string& where);

/// Shell-like pattern (* and ?).
bool matches_pattern(const std::string& pattern, const std::string& name);
/// The YAML files of a folder of the suite's data, sorted by name.
std::vector<std::filesystem::path> yaml_files(const std::string& folder_of_data);

}  // namespace m3d
