#include "ablations/layered_yaml.h"

#include <algorithm>

#include "common/error.h"
#include "common/nearest_name.h"

namespace m3d {

void LayeredYaml::overlay(const YamlDocument& document) {
  if (!document.root().is_object()) throw UserError(document.where("") + ": expected a mapping of names to values");
  places_[""] = document.name();
  merge(root_, document.root(), "", document);
}

void LayeredYaml::merge(Json& target, const Json& source, const std::string& pointer, const YamlDocument& document) {
  for (const auto& [key, item] : source.items()) {
    const std::string child = pointer + "/" + key;
    if (item.is_null()) {
      target.erase(key);
    } else if (item.is_object() && target.contains(key) && target[key].is_object()) {
      merge(target[key], item, child, document);
    } else {
      target[key] = item;
      note_places(item, child, document);
    }
    places_[child] = document.where(child);
  }
}

void LayeredYaml::note_places(const Json& value, const std::string& pointer, const YamlDocument& document) {
  places_[pointer] = document.where(pointer);
  if (!value.is_structured()) return;
  for (const auto& [key, item] : value.items()) note_places(item, pointer + "/" + key, document);
}

std::string LayeredYaml::where(const std::string& pointer) const {
  for (std::string at = pointer;; at.erase(at.rfind('/'))) {
    if (const auto found = places_.find(at); found != places_.end()) return found->second;
    if (at.find('/') == std::string::npos) return "YAML";
  }
}

std::string LayeredYaml::text(const std::string& pointer) const {
  const std::string key = pointer.substr(pointer.rfind('/') + 1);
  if (!has(pointer)) throw UserError(where(pointer) + ": key '" + key + "' is missing");
  if (!at(pointer).is_string())
    throw UserError(where(pointer) + ": '" + key + "' expects text, got " + at(pointer).dump());
  return at(pointer).get<std::string>();
}

std::string LayeredYaml::text_or_empty(const std::string& pointer) const { return has(pointer) ? text(pointer) : ""; }

const Json& LayeredYaml::mapping(const std::string& pointer) const {
  static const Json empty = Json::object();
  if (!has(pointer)) return empty;
  if (!at(pointer).is_object()) throw UserError(where(pointer) + ": expected a mapping of names to values");
  return at(pointer);
}

const Json& LayeredYaml::list(const std::string& pointer) const {
  static const Json empty = Json::array();
  if (!has(pointer)) return empty;
  if (!at(pointer).is_array()) throw UserError(where(pointer) + ": expected a list, as in [a, b]");
  return at(pointer);
}

void LayeredYaml::require_known_keys(const std::string& pointer, const std::vector<std::string>& known) const {
  for (const auto& [key, item] : mapping(pointer).items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw UserError(where(pointer + "/" + key) + ": " + unknown_name_message("key", key, known));
}

}  // namespace m3d
