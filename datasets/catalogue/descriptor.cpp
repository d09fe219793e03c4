#include "datasets/catalogue/descriptor.h"

#include <algorithm>
#include <cctype>

#include "common/error.h"
#include "common/nearest_name.h"
#include "common/resources.h"
#include "datasets/catalogue/dataset.h"
#include "datasets/catalogue/descriptor_variant.h"
#include "datasets/catalogue/splits.h"

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

const std::vector<std::string> kKeys = {"name",
                                        "title",
                                        "modality",
                                        "embedded",
                                        "folders",
                                        "channel_names",
                                        "labels",
                                        "classes",
                                        "groups",
                                        "options",
                                        "licence",
                                        "source",
                                        "how_to_get",
                                        "next_command",
                                        "citation",
                                        "notes",
                                        "reference",
                                        "release",
                                        "reader",
                                        "cases",
                                        "converter",
                                        "patient",
                                        "raw_layout",
                                        "splits",
                                        "default_split",
                                        "nsd_tolerance_mm",
                                        "regions_class_order"};

void check_numbers(const YamlDocument& document) {
  const Json& root = document.root();
  if (root.contains("embedded") && !root["embedded"].is_boolean())
    throw UserError(document.where("/embedded") + ": expected true or false");
  if (root.contains("nsd_tolerance_mm") && !(root["nsd_tolerance_mm"].is_number() && root["nsd_tolerance_mm"] > 0))
    throw UserError(document.where("/nsd_tolerance_mm") + ": expected a positive number of millimetres");
  if (root.contains("cases") && !(root["cases"].is_number_integer() && root["cases"] > 0))
    throw UserError(document.where("/cases") + ": expected the number of labelled cases of the release");
}

/// Real datasets carry everything a person without the data needs; embedded ones are generated.
void check_descriptor(const YamlDocument& document) {
  require_known_keys(document, "", kKeys);
  for (const char* key : {"name", "title", "modality", "licence", "source", "how_to_get", "citation"})
    require_text(document, key);
  const Json& root = document.root();
  if (!root.contains("folders") || !is_list_of_text(root["folders"]))
    throw UserError(document.where("/folders") + ": 'folders' must list the nnU-Net folder names of this dataset");
  if (root.contains("classes") && !is_list_of_text(root["classes"]))
    throw UserError(document.where("/classes") + ": expected a list of class names, numbered from 1");
  check_numbers(document);
  check_groups(document);
  check_options(document);
  if (root.contains("splits")) check_split_rules(document.where("/splits"), root["splits"]);
}

YamlDocument load_descriptor(const std::string& name) {
  YamlDocument document = YamlDocument::load(descriptor_folder() / (name + ".yaml"));
  check_descriptor(document);
  if (document.root()["name"] != name)
    throw UserError(document.where("/name") + ": 'name' must be '" + name + "', as the file's");
  return document;
}

/// "totalseg_ct:version=v1" and "totalseg_ct-v1" → totalseg_ct.
std::string plain_name(const std::string& typed) { return typed.substr(0, typed.find_first_of(":-")); }

DatasetChoices choices_of(const Json& descriptor, const std::string& typed) {
  const auto separator = typed.find_first_of(":-");
  if (separator == std::string::npos) return {};
  return parse_choices(descriptor, typed.substr(separator + 1), typed[separator] == ':');
}

bool is_described(const std::string& plain) {
  const auto names = dataset_names();
  return std::find(names.begin(), names.end(), plain) != names.end();
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
  const std::string plain = plain_name(name);
  if (!is_described(plain)) throw UserError(unknown_name_message("dataset", name, dataset_names()));
  const Json descriptor = load_descriptor(plain).root();
  return resolve_variant(descriptor, choices_of(descriptor, name));
}

std::optional<std::string> canonical_dataset_name(const std::string& typed) {
  const std::string plain = plain_name(typed);
  if (!is_described(plain)) return std::nullopt;
  const Json descriptor = load_descriptor(plain).root();
  return variant_name(descriptor, choices_of(descriptor, typed));
}

std::optional<std::string> described_dataset(const std::string& typed) {
  if (const auto name = canonical_dataset_name(typed)) return name;
  if (const std::string name = descriptor_of_folder(typed); !name.empty()) return name;
  const bool digits = !typed.empty() && typed.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || typed.size() > 3) return std::nullopt;
  const std::string prefix = "Dataset" + std::string(3 - typed.size(), '0') + typed + "_";
  for (const auto& plain : dataset_names())
    for (const auto& name : dataset_variants(plain))
      for (const auto& pattern : folder_patterns(name))
        if (pattern.starts_with(prefix)) return name;
  return std::nullopt;
}

std::vector<std::string> dataset_variants(const std::string& name) {
  const Json descriptor = load_descriptor(name).root();
  std::vector<std::string> variants;
  for (const auto& choices : all_choices(descriptor)) variants.push_back(variant_name(descriptor, choices));
  return variants;
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
  for (const auto& name : dataset_names()) {
    const Json descriptor = load_descriptor(name).root();
    for (const auto& choices : all_choices(descriptor)) {
      const Json variant = resolve_variant(descriptor, choices);
      for (const std::string pattern : variant["folders"])
        if (matches_folder(folder_name, pattern)) return variant["name"];
    }
  }
  return {};
}

}  // namespace m3d
