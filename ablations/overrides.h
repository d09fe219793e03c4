#pragma once
// Values for settings and architecture options, each with the place where it was written, for messages.
#include <map>
#include <string>
#include <vector>

#include "ablations/layered_yaml.h"
#include "common/strict_yaml.h"

namespace m3d {

struct Placed {
  Json value;
  std::string where;  // "suite.yaml:12", "--set"
};

/// Flat name ("train.epochs" of a setting, "model.scan" of an architecture's option) → value.
using Overrides = std::map<std::string, Placed>;

/// Adds `upper` to `lower`; where both have a name, `upper` wins.
void overlay(Overrides& lower, const Overrides& upper);

/// The sections that `base` of a suite, and a recipe, may hold.
const std::vector<std::string>& setting_sections();

/// {"model": {"scan": …}, "train": {…}} at `pointer` as flat names; keys in `not_settings` are left out. Throws
/// UserError for a section that is not a mapping and for unknown settings (options are checked with their
/// architecture).
Overrides flatten_sections(const LayeredYaml& yaml, const std::string& pointer,
                           const std::vector<std::string>& not_settings);

/// "key=value" of the command line. A key without a section is an architecture's option.
Overrides parse_assignments(const std::vector<std::string>& assignments, const std::string& flag);

/// A scalar as it stands in a table or path: strings without quotes.
std::string plain_text(const Json& scalar);

}  // namespace m3d
