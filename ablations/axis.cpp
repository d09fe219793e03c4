#include "ablations/axis.h"

#include <fnmatch.h>

#include <algorithm>

#include "ablations/run_config.h"
#include "common/error.h"
#include "common/nearest_name.h"
#include "common/resources.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

AxisValue read_value(const LayeredYaml& yaml, const Json& list, std::size_t index, const std::string& axis) {
  const std::string at = "/values/" + std::to_string(index);
  const Json& entry = list.at(index);
  yaml.require_known_keys(at, {"value", "title", "description", "set"});
  if (!entry.contains("value") || entry.at("value").is_structured())
    throw UserError(yaml.where(at) + ": an axis value needs 'value' (a name or number)");
  AxisValue value;
  value.value = plain_text(entry.at("value"));
  value.title = entry.contains("title") ? yaml.text(at + "/title") : value.value;
  value.description = yaml.text_or_empty(at + "/description");
  if (value.value == kAxisDefault)
    throw UserError(yaml.where(at) + ": 'default' cannot be a value's name; it means the architecture's own value");
  if (!entry.contains("set")) {
    value.set["model." + axis] = Placed{entry.at("value"), yaml.where(at)};
    return value;
  }
  for (const auto& [name, given] : yaml.mapping(at + "/set").items()) {
    const Placed placed{given, yaml.where(at + "/set/" + name)};
    if (!name.starts_with("model.")) settings_schema().check(name, given, placed.where);
    value.set[name] = placed;
  }
  return value;
}

std::vector<AxisValue> read_values(const LayeredYaml& yaml, const std::string& axis) {
  const Json& list = yaml.list("/values");
  std::vector<AxisValue> values;
  for (std::size_t i = 0; i < list.size(); ++i) {
    AxisValue value = read_value(yaml, list, i, axis);
    for (const auto& other : values)
      if (other.value == value.value)
        throw UserError(yaml.where("/values/" + std::to_string(i)) + ": value '" + value.value + "' occurs twice");
    values.push_back(std::move(value));
  }
  if (values.empty()) throw UserError(yaml.where("/values") + ": an axis needs at least one value");
  return values;
}

Axis read_axis(const fs::path& file) {
  LayeredYaml yaml;
  yaml.overlay(YamlDocument::load(file));
  yaml.require_known_keys("", {"name", "description", "default", "architectures", "values"});
  Axis axis;
  axis.name = yaml.text("/name");
  if (axis.name != file.stem())
    throw UserError(yaml.where("/name") + ": the name must be the file's: " + file.stem().string());
  axis.description = yaml.text("/description");
  axis.values = read_values(yaml, axis.name);
  if (!yaml.has("/default")) throw UserError(yaml.where("") + ": key 'default' is missing");
  axis.default_value = axis.at(plain_text(yaml.at("/default")), yaml.where("/default")).value;
  const Json& architectures = yaml.list("/architectures");
  for (std::size_t i = 0; i < architectures.size(); ++i)
    axis.architectures.push_back(yaml.text("/architectures/" + std::to_string(i)));
  if (axis.architectures.empty()) axis.architectures.push_back("*");
  return axis;
}

}  // namespace

bool matches_pattern(const std::string& pattern, const std::string& name) {
  return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

std::vector<fs::path> yaml_files(const std::string& folder_of_data) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(data_folder() / folder_of_data))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> Axis::value_names() const {
  std::vector<std::string> names;
  for (const auto& value : values) names.push_back(value.value);
  return names;
}

const AxisValue& Axis::at(const std::string& value, const std::string& where) const {
  for (const auto& candidate : values)
    if (candidate.value == value) return candidate;
  throw UserError(where + ": " + unknown_name_message("value of axis " + name, value, value_names()));
}

std::string Axis::value_of(const Json& model, const Json& settings) const {
  const Json all = [&] {
    Json joined = settings;
    joined["model"] = model;
    return joined;
  }();
  const auto holds = [&](const auto& entry) {
    const auto dot = entry.first.find('.');
    const Json section = all.value(entry.first.substr(0, dot), Json::object());
    const std::string key = entry.first.substr(dot + 1);
    // As text too: a name such as 3 is a number in YAML and a string among an architecture's options.
    return section.contains(key) &&
           (section.at(key) == entry.second.value || plain_text(section.at(key)) == plain_text(entry.second.value));
  };
  for (const auto& value : values)
    if (!value.set.empty() && std::all_of(value.set.begin(), value.set.end(), holds)) return value.value;
  return "";
}

std::vector<Axis> all_axes() {
  std::vector<Axis> axes;
  for (const auto& file : yaml_files("ablations/axes")) axes.push_back(read_axis(file));
  return axes;
}

const Axis& find_axis(const std::vector<Axis>& axes, const std::string& name, const std::string& where) {
  std::vector<std::string> names;
  for (const auto& axis : axes) {
    if (axis.name == name) return axis;
    names.push_back(axis.name);
  }
  throw UserError(where + ": " + unknown_name_message("axis", name, names));
}

}  // namespace m3d
