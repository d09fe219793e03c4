#pragma once
// Options of a descriptor (a release of the data, a group of classes, an order of the labels): which were asked for,
// and the descriptor with their values put in. Internal to descriptor.cpp.
#include <string>
#include <utility>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d {

/// Option → value, those that differ from their defaults, in the descriptor's order.
using DatasetChoices = std::vector<std::pair<std::string, std::string>>;

/// Throws UserError (file:line) unless `options`, `classes`, `groups` are well formed and no two options share a value.
void check_options(const YamlDocument& descriptor);

/// "version=v1,group=organs" or "v1-organs". Throws UserError for unknown or repeated options and values.
DatasetChoices parse_choices(const Json& descriptor, const std::string& text, bool with_names);

/// Every combination, the one of the defaults first.
std::vector<DatasetChoices> all_choices(const Json& descriptor);

/// name-value-value.
std::string variant_name(const Json& descriptor, const DatasetChoices& choices);

/// The descriptor with the choices' values in place: `name`, `title`, `folders`, `labels` (from `classes`) and `groups`
/// (ranges a..b written out) are those of the variant.
Json resolve_variant(const Json& descriptor, const DatasetChoices& choices);

}  // namespace m3d
