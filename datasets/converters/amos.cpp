// AMOS 2022 as released after the challenge: dataset.json lists the cases of imagesTr, imagesVa and imagesTs. Training
// and validation cases become training cases, and CT cases are told by their number, as nnU-Net's converters do
// (nnunetv2/dataset_conversion/Dataset218_Amos2022_task1.py, Dataset219_Amos2022_task2.py).
#include <limits>

#include "datasets/catalogue/dataset_json.h"
#include "datasets/converters/conversion.h"
#include "datasets/converters/source_folder.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

struct Part {
  const char* list;
  const char* folder_ending;  // imagesTr, labelsTr
  const char* largest_ct;     // key of raw_layout
  bool test;
};

constexpr Part kParts[] = {{"training", "Tr", "largest_ct_training", false},
                           {"validation", "Va", "largest_ct_validation", false},
                           {"test", "Ts", "largest_ct_test", true}};

/// "./imagesTr/amos_0001.nii.gz" or {"image": that} → amos_0001.
std::string case_of(const Json& entry, const std::string& where) {
  const Json image = entry.is_object() ? entry.value("image", Json()) : entry;
  if (!image.is_string())
    throw UserError(where + R"(: expected entries like {"image": "./imagesTr/amos_0001.nii.gz"})");
  std::string name = fs::path(image.get<std::string>()).filename().string();
  for (const char* ending : {".nii.gz", ".nii"})
    if (name.ends_with(ending)) name.resize(name.size() - std::string(ending).size());
  return name;
}

int number_of(const std::string& id, const std::string& where) {
  const auto digits = id.find_last_not_of("0123456789") + 1;
  if (digits == id.size() || id.size() - digits > 8)
    throw UserError(where + ": case '" + id + "' does not end with its number, as in amos_0001");
  return std::stoi(id.substr(digits));
}

}  // namespace

Conversion convert_amos(const fs::path& source, const Json& descriptor) {
  const fs::path file = source / "dataset.json";
  if (!is_file(file)) throw layout_error(source, descriptor, "no dataset.json");
  const Json json = read_json(file);
  const Json layout = descriptor.value("raw_layout", Json::object());
  Conversion conversion;
  std::size_t absent = 0;
  MissingFiles missing;
  for (const auto& [list, ending, largest_ct, test] : kParts) {
    const std::string where = file.string() + ": '" + list + "'";
    const fs::path images = source / ("images" + std::string(ending)),
                   labels = source / ("labels" + std::string(ending));
    if (!json.is_object() || !json.contains(list) || !json[list].is_array())
      throw layout_error(source, descriptor, "its dataset.json has no list '" + std::string(list) + "'");
    for (const Json& entry : json[list]) {
      const std::string id = case_of(entry, where);
      require_case_id(id, where);
      if (number_of(id, where) > layout.value(largest_ct, std::numeric_limits<int>::max())) continue;
      ConvertedCase one{id, test, {{volume(images, id)}}, {}};
      const fs::path label_map = volume(labels, id);
      if (!is_file(one.channels[0].file) && !is_file(label_map)) {
        ++absent;
        continue;
      }
      missing.require(one.channels[0].file);
      if (!test) missing.require(label_map);
      if (is_file(label_map)) one.labels.file = label_map;
      conversion.cases.push_back(std::move(one));
    }
  }
  missing.throw_if_any(source);
  if (absent > 0)
    conversion.warnings.push_back(std::to_string(absent) + " cases of " + file.string() + " are not there");
  conversion.overrides["labels"] = labels_by_name(json, file.string());
  if (nlohmann::json(conversion.overrides["labels"]) != nlohmann::json(descriptor["labels"]))
    conversion.warnings.push_back(file.string() + " gives other labels than this program's descriptor; they are kept");
  return conversion;
}

}  // namespace m3d
