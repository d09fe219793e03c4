#pragma once
// One mapping merged from several YAML files, every value of it still knowing its file and line.
#include <map>
#include <string>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d {

class LayeredYaml {
 public:
  /// Lays `document` over what is there: mappings are merged key by key, anything else is replaced, and a key whose
  /// value is null (`key: ~`) is removed.
  void overlay(const YamlDocument& document);

  const Json& root() const { return root_; }
  bool has(const std::string& pointer) const { return root_.contains(Json::json_pointer(pointer)); }
  const Json& at(const std::string& pointer) const { return root_.at(Json::json_pointer(pointer)); }
  /// "file:line" of the value at a JSON pointer; of its nearest parent where it has none of its own.
  std::string where(const std::string& pointer) const;

  /// The string at `pointer`. Throws UserError when it is missing or not a string.
  std::string text(const std::string& pointer) const;
  /// The string at `pointer`, empty when it is missing.
  std::string text_or_empty(const std::string& pointer) const;
  /// The mapping or list at `pointer`, empty when missing. Throws UserError for another type.
  const Json& mapping(const std::string& pointer) const;
  const Json& list(const std::string& pointer) const;
  /// Throws UserError unless the mapping at `pointer` has only `known` keys.
  void require_known_keys(const std::string& pointer, const std::vector<std::string>& known) const;

 private:
  void merge(Json& target, const Json& source, const std::string& pointer, const YamlDocument& document);
  void note_places(const Json& value, const std::string& pointer, const YamlDocument& document);

  Json root_ = Json::object();
  std::map<std::string, std::string> places_;
};

}  // namespace m3d
