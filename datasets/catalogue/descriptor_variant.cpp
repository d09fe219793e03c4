#include "datasets/catalogue/descriptor_variant.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "common/error.h"
#include "common/nearest_name.h"

namespace m3d {
namespace {

const std::vector<std::string> kValueKeys = {"title",   "source", "how_to_get",    "licence",    "release",    "cases",
                                             "classes", "groups", "folder_offset", "only_group", "label_order"};

const Json& options_of(const Json& descriptor) {
  static const Json none = Json::object();
  const auto found = descriptor.find("options");
  return found == descriptor.end() ? none : *found;
}

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

void require_choice(const Json& descriptor, const std::string& option, const std::string& value) {
  const Json& options = options_of(descriptor);
  const std::string dataset = descriptor["name"];
  if (!options.contains(option))
    throw UserError("--dataset " + dataset + ": " + unknown_name_message("option", option, keys_of(options)));
  const Json& values = options[option]["values"];
  if (!values.contains(value))
    throw UserError("--dataset " + dataset + ": " +
                    unknown_name_message("value of '" + option + "'", value, keys_of(values)));
}

/// "v1" → "version": values are unique within a descriptor.
std::string option_with_value(const Json& descriptor, const std::string& value) {
  std::vector<std::string> known;
  for (const auto& [option, content] : options_of(descriptor).items()) {
    if (content["values"].contains(value)) return option;
    for (const auto& [name, overrides] : content["values"].items()) known.push_back(name);
  }
  throw UserError("--dataset " + descriptor["name"].get<std::string>() + ": " +
                  unknown_name_message("variant", value, known));
}

DatasetChoices without_defaults(const Json& descriptor, const std::map<std::string, std::string>& given) {
  DatasetChoices choices;
  for (const auto& [option, content] : options_of(descriptor).items())
    if (const auto found = given.find(option); found != given.end() && content["default"] != found->second)
      choices.emplace_back(option, found->second);
  return choices;
}

/// "a..b" and single names → names.
std::vector<std::string> expand_range(const std::string& item, const std::vector<std::string>& classes) {
  const auto dots = item.find("..");
  if (dots == std::string::npos) return {item};
  const auto first = std::find(classes.begin(), classes.end(), item.substr(0, dots));
  const auto last = std::find(classes.begin(), classes.end(), item.substr(dots + 2));
  if (first == classes.end() || last == classes.end() || last < first)
    throw std::logic_error("descriptor: the range " + item + " does not fit the list of classes");
  return {first, last + 1};
}

void expand_groups(Json& resolved, const std::vector<std::string>& classes) {
  if (!resolved.contains("groups") || classes.empty()) return;
  for (auto& [group, items] : resolved["groups"].items()) {
    std::vector<std::string> names;
    for (const std::string item : items)
      for (auto& name : expand_range(item, classes)) names.push_back(std::move(name));
    items = names;
  }
}

void number_classes(Json& resolved, const std::vector<std::string>& classes) {
  resolved["labels"] = {{"background", 0}};
  for (std::size_t i = 0; i < classes.size(); ++i) resolved["labels"][classes[i]] = i + 1;
}

void take_classes(Json& resolved) {
  if (!resolved.contains("classes")) return;
  auto classes = resolved["classes"].get<std::vector<std::string>>();
  expand_groups(resolved, classes);
  if (resolved.contains("only_group")) {
    classes = resolved["groups"].at(resolved["only_group"].get<std::string>()).get<std::vector<std::string>>();
    resolved.erase("groups");
  }
  if (resolved.value("label_order", "") == "alphabetical") std::sort(classes.begin(), classes.end());
  number_classes(resolved, classes);
  for (const char* key : {"classes", "only_group", "label_order"}) resolved.erase(key);
}

/// Dataset290_Name → Dataset251_Name_v1_organs, and the same under any id.
std::vector<std::string> variant_folders(const std::string& plain, int offset, const DatasetChoices& choices) {
  const auto underscore = plain.find('_');
  char id[16];
  std::snprintf(id, sizeof id, "Dataset%03d", std::stoi(plain.substr(7, underscore - 7)) + offset);
  std::string name = plain.substr(underscore);
  for (const auto& [option, value] : choices) name += "_" + value;
  return {id + name, "Dataset???" + name};
}

void check_option(const YamlDocument& document, const std::string& option) {
  const std::string at = "/options/" + option;
  if (option.find_first_of("/~") != std::string::npos)
    throw UserError(document.where(at) + ": an option's name must not contain / or ~");
  require_known_keys(document, at, {"description", "default", "values"});
  const Json& content = document.root()["options"][option];
  const bool complete = content.contains("values") && content["values"].is_object() && content.contains("default") &&
                        content["default"].is_string() &&
                        content["values"].contains(content["default"].get<std::string>());
  if (!complete) throw UserError(document.where(at) + ": an option needs 'values' and a 'default' that is one of them");
  for (const auto& [value, overrides] : content["values"].items()) {
    if (value.find_first_of("-:=,/~") != std::string::npos)
      throw UserError(document.where(at + "/values/" + value) + ": a value's name must not contain any of - : = , / ~");
    require_known_keys(document, at + "/values/" + value, kValueKeys);
  }
}

}  // namespace

void check_options(const YamlDocument& document) {
  std::set<std::string> values;
  for (const auto& [option, content] : options_of(document.root()).items()) {
    check_option(document, option);
    for (const auto& [value, overrides] : content["values"].items())
      if (!values.insert(value).second)
        throw UserError(document.where("/options/" + option) + ": the value '" + value +
                        "' belongs to another option too; rename one");
  }
}

DatasetChoices parse_choices(const Json& descriptor, const std::string& text, bool with_names) {
  std::map<std::string, std::string> given;
  for (const std::string& part : split(text, with_names ? ',' : '-')) {
    const auto equals = part.find('=');
    if (with_names && equals == std::string::npos)
      throw UserError("--dataset " + descriptor["name"].get<std::string>() + ":" + text +
                      ": expected option=value, as in totalseg_ct:version=v1,group=organs");
    const std::string option = with_names ? part.substr(0, equals) : option_with_value(descriptor, part);
    const std::string value = with_names ? part.substr(equals + 1) : part;
    require_choice(descriptor, option, value);
    if (!given.emplace(option, value).second)
      throw UserError("--dataset " + descriptor["name"].get<std::string>() + ": option '" + option +
                      "' is given twice; give it once");
  }
  return without_defaults(descriptor, given);
}

std::vector<DatasetChoices> all_choices(const Json& descriptor) {
  std::vector<std::map<std::string, std::string>> combinations(1);
  for (const auto& [option, content] : options_of(descriptor).items()) {
    std::vector<std::map<std::string, std::string>> longer;
    for (const auto& combination : combinations)
      for (const auto& [value, overrides] : content["values"].items()) {
        longer.push_back(combination);
        longer.back()[option] = value;
      }
    combinations = std::move(longer);
  }
  std::vector<DatasetChoices> all;
  for (const auto& combination : combinations) all.push_back(without_defaults(descriptor, combination));
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  return all;
}

std::string variant_name(const Json& descriptor, const DatasetChoices& choices) {
  std::string name = descriptor["name"];
  for (const auto& [option, value] : choices) name += "-" + value;
  return name;
}

Json resolve_variant(const Json& descriptor, const DatasetChoices& choices) {
  Json resolved = descriptor;
  int offset = 0;
  for (const auto& [option, value] : choices) {
    Json overrides = descriptor["options"][option]["values"][value];
    offset += overrides.value("folder_offset", 0);
    overrides.erase("folder_offset");
    if (!overrides.contains("title"))
      resolved["title"] = resolved["title"].get<std::string>() + ", " + option + " " + value;
    resolved.update(overrides);
  }
  resolved["name"] = variant_name(descriptor, choices);
  if (!choices.empty())
    resolved["folders"] = variant_folders(descriptor["folders"].front().get<std::string>(), offset, choices);
  take_classes(resolved);
  return resolved;
}

}  // namespace m3d
