#include "ablations/overrides.h"

#include <algorithm>

#include "ablations/run_config.h"
#include "common/error.h"

namespace m3d {

void overlay(Overrides& lower, const Overrides& upper) {
  for (const auto& [name, placed] : upper) lower[name] = placed;
}

const std::vector<std::string>& setting_sections() {
  static const std::vector<std::string> sections = {"model", "data", "train", "infer", "profile"};
  return sections;
}

Overrides flatten_sections(const LayeredYaml& yaml, const std::string& pointer,
                           const std::vector<std::string>& not_settings) {
  std::vector<std::string> known = setting_sections();
  known.insert(known.end(), not_settings.begin(), not_settings.end());
  yaml.require_known_keys(pointer, known);
  Overrides flat;
  for (const auto& section : setting_sections()) {
    const std::string at = pointer + "/" + section;
    for (const auto& [key, value] : yaml.mapping(at).items()) {
      const Placed placed{value, yaml.where(at + "/" + key)};
      if (section != "model") settings_schema().check(section + "." + key, value, placed.where);
      flat[section + "." + key] = placed;
    }
  }
  return flat;
}

Overrides parse_assignments(const std::vector<std::string>& assignments, const std::string& flag) {
  Overrides overrides;
  for (const auto& assignment : assignments) {
    const auto equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0)
      throw UserError(flag + " " + assignment + ": expected key=value, as in train.epochs=5");
    std::string key = assignment.substr(0, equals);
    if (key.find('.') == std::string::npos) key = "model." + key;
    const Json value = parse_scalar_or_list(assignment.substr(equals + 1), flag + " " + assignment);
    if (!key.starts_with("model.")) settings_schema().check(key, value, flag);
    if (!overrides.emplace(key, Placed{value, flag}).second)
      throw UserError(flag + " gives '" + key + "' twice; keep one");
  }
  return overrides;
}

std::string plain_text(const Json& scalar) { return scalar.is_string() ? scalar.get<std::string>() : scalar.dump(); }

}  // namespace m3d
