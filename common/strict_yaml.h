#pragma once
// YAML read strictly: unknown keys, duplicate keys and wrong types are UserErrors that name file:line and the nearest
// valid key. The rest of the program sees JSON values; where each came from is kept for messages.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace m3d {

using Json = nlohmann::ordered_json;

/// A parsed YAML file. Scalars become null, booleans, integers, numbers or strings by YAML 1.2's core schema
/// (quoted scalars are strings); order of keys is kept.
class YamlDocument {
 public:
  /// Throws UserError for a missing file, malformed YAML (file:line: reason) and duplicate keys.
  static YamlDocument load(const std::filesystem::path& file);
  static YamlDocument parse(const std::string& text, const std::string& name_for_messages);

  const Json& root() const { return root_; }
  const std::string& name() const { return name_; }
  /// "file:line" of the value at a JSON pointer ("/axes/scan"); the nearest known parent where it has none.
  std::string where(const std::string& pointer) const;

 private:
  std::string name_;
  Json root_;
  std::map<std::string, int> lines_;
};

/// Throws UserError unless the object at `pointer` has only `known` keys.
void require_known_keys(const YamlDocument& document, const std::string& pointer, const std::vector<std::string>& known);

/// A value as YAML block text (used for config.yaml); round-trips through YamlDocument.
std::string to_yaml(const Json& value);

/// One command-line value ("3", "true", "[1,2]", "tri") by the same scalar rules.
Json parse_scalar_or_list(const std::string& text, const std::string& name_for_messages);

}  // namespace m3d
