#pragma once
// Typed options with defaults: the one mechanism behind architecture options, run settings and --set.
#include <functional>
#include <string>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d {

/// integer_lists is a list of lists ([[1, 3, 3], [3, 3, 3]]: a kernel a stage).
enum class OptionType { boolean, integer, number, string, integer_list, number_list, string_list, integer_lists };

/// One option. `choices` (strings) restricts string and string_list; `minimum`/`maximum` restrict numbers.
struct OptionSpec {
  std::string name;
  OptionType type;
  Json default_value;
  std::string description;
  std::vector<std::string> choices = {};
  double minimum = -1e300;
  double maximum = 1e300;
};

/// Says where a key was written ("suite.yaml:12", "--set"), for messages.
using WhereFunction = std::function<std::string(const std::string& key)>;

class OptionSchema {
 public:
  OptionSchema() = default;
  /// `kind` names the options in messages ("option of ulike_mamba_3d", "setting").
  OptionSchema(std::string kind, std::vector<OptionSpec> specs);

  const std::vector<OptionSpec>& specs() const { return specs_; }
  bool has(const std::string& name) const;
  std::vector<std::string> names() const;
  const OptionSpec& at(const std::string& name) const;
  /// The same schema with another default; throws std::logic_error for an unknown name.
  OptionSchema with_default(const std::string& name, Json value) const;

  /// Checks one value and returns it in canonical form (an integer given for a number becomes a number).
  /// Throws UserError "<where>: <kind> 'name' …" with what was expected.
  Json check(const std::string& name, const Json& value, const std::string& where) const;
  /// All options: those of `given` (checked; unknown names are errors with the nearest valid one), others by default.
  Json resolve(const Json& given, const WhereFunction& where) const;

 private:
  std::string kind_;
  std::vector<OptionSpec> specs_;
};

std::string to_string(OptionType type);

}  // namespace m3d
