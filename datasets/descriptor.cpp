#include "datasets/descriptor.h"

#include <algorithm>
#include <cctype>

#include "common/error.h"
#include "common/nearest_name.h"
#include "common/resources.h"
#include "datasets/dataset.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

fs::path descriptor_folder() { return data_folder() / "datasets" / "descriptors"; }

void require_text(const YamlDocument& document, const std::string& key) {
  const auto found = document.root().find(key);
  if (found == document.root().end() || !found->is_string())
    throw UserError(document.where("/" + key) + ": key '" + key + "' is missing or not a text");
}

bool is_list_of_text(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_string(); });
}

void check_groups(const YamlDocument& document) {
  const auto groups = document.root().find("groups");
  if (groups == document.root().end()) return;
  if (!groups->is_object()) throw UserError(document.where("/groups") + ": expected group name → list of class names");
  for (const auto& [group, classes] : groups->items())
    if (!is_list_of_text(classes))
      throw UserError(document.where("/groups/" + group) + ": expected a list of class names");
}

/// Real datasets carry everything a person without the data needs; embedded ones are generated.
void check_descriptor(const YamlDocument& document) {
  require_known_keys(
      document, "",
      {"name", "title", "modality", "embedded", "folders", "channel_names", "labels", "regions_class_order", "licence",
       "source", "how_to_get", "next_command", "citation", "nsd_tolerance_mm", "groups", "notes"});
  for (const char* key : {"name", "title", "modality", "licence", "source", "how_to_get", "next_command", "citation"})
    require_text(document, key);
  const Json& root = document.root();
  if (!root.contains("folders") || !is_list_of_text(root["folders"]))
    throw UserError(document.where("/folders") + ": 'folders' must list the nnU-Net folder names of this dataset");
  if (root.contains("embedded") && !root["embedded"].is_boolean())
    throw UserError(document.where("/embedded") + ": expected true or false");
  if (root.contains("nsd_tolerance_mm") && !(root["nsd_tolerance_mm"].is_number() && root["nsd_tolerance_mm"] > 0))
    throw UserError(document.where("/nsd_tolerance_mm") + ": expected a positive number of millimetres");
  check_groups(document);
}

}  // namespace

std::vector<std::string> dataset_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(descriptor_folder()))
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

Json dataset_descriptor(const std::string& name) {
  const auto names = dataset_names();
  if (std::find(names.begin(), names.end(), name) == names.end())
    throw UserError(unknown_name_message("dataset", name, names));
  const YamlDocument document = YamlDocument::load(descriptor_folder() / (name + ".yaml"));
  check_descriptor(document);
  if (document.root()["name"] != name)
    throw UserError(document.where("/name") + ": 'name' must be '" + name + "', as the file's");
  return document.root();
}

bool matches_folder(const std::string& folder_name, const std::string& pattern) {
  return std::equal(folder_name.begin(), folder_name.end(), pattern.begin(), pattern.end(),
                    [](char c, char p) { return c == p || (p == '?' && std::isdigit(static_cast<unsigned char>(c))); });
}

std::vector<std::string> folder_patterns(const std::string& name) {
  return dataset_descriptor(name)["folders"].get<std::vector<std::string>>();
}

std::string usual_folder(const std::string& name) { return folder_patterns(name).front(); }

std::string descriptor_of_folder(const std::string& folder_name) {
  for (const auto& name : dataset_names())
    for (const auto& pattern : folder_patterns(name))
      if (matches_folder(folder_name, pattern)) return name;
  return {};
}

}  // namespace m3d
