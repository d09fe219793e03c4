#include "datasets/catalogue/dataset.h"

#include <algorithm>
#include <set>

#include "common/error.h"
#include "common/log.h"
#include "datasets/catalogue/convert_dataset.h"
#include "datasets/catalogue/dataset_json.h"
#include "datasets/catalogue/dataset_location.h"
#include "datasets/converters/source_folder.h"
#include "datasets/images/image_endings.h"
#include "datasets/phantom/phantom.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPreprocessedLabels = "gt_segmentations";

constexpr std::size_t kListed = 5;  // examples in a message

void take(Dataset& dataset, const DatasetJson& json) {
  dataset.channel_names = json.channel_names;
  dataset.classes = json.classes;
  dataset.region_based = json.region_based;
  dataset.regions_class_order = json.regions_class_order;
  dataset.ignore_label = json.ignore_label;
  dataset.image_reader = json.image_reader;
}

/// Groups of the descriptor, for the classes that the dataset has. A generated dataset has all of them.
void take_descriptor(Dataset& dataset) {
  const Json descriptor = dataset_descriptor(dataset.name);
  dataset.nsd_tolerance_mm = descriptor.value("nsd_tolerance_mm", 1.0);
  dataset.split_rules = {descriptor.value("patient", ""), descriptor.value("default_split", ""),
                         descriptor.value("splits", Json())};
  if (!descriptor.contains("groups")) return;
  std::set<std::string> known;
  for (const auto& one : dataset.classes) known.insert(one.name);
  for (const auto& [group, names] : descriptor["groups"].items())
    for (const std::string name : names) {
      if (known.contains(name)) {
        dataset.groups[group].push_back(name);
      } else if (dataset.embedded) {
        throw UserError("descriptor of '" + dataset.name + "': group '" + group + "' names the class '" + name +
                        "', which the dataset does not have");
      } else {
        log(LogLevel::warning, "dataset.json in " + dataset.folder.string() + " has no class '" + name +
                                   "' of the group '" + group + "' (another release?); the group goes without it");
      }
    }
}

std::string some_of(const std::vector<std::string>& items) {
  std::string text;
  for (std::size_t i = 0; i < std::min(items.size(), kListed); ++i) text += (i ? ", " : "") + items[i];
  return items.size() > kListed ? text + " and " + std::to_string(items.size() - kListed) + " more" : text;
}

/// "case_0001.nii.gz" → "case"; empty for names of another form and hidden files.
std::string case_of_channel_file(const std::string& name, const std::string& ending) {
  const std::size_t tail = 5 + ending.size();  // _0001 and the ending
  if (name.size() <= tail || !name.ends_with(ending) || name[0] == '.') return {};
  const std::string number = name.substr(name.size() - tail + 1, 4);
  const bool digits = std::all_of(number.begin(), number.end(), [](unsigned char c) { return std::isdigit(c); });
  return digits && name[name.size() - tail] == '_' ? name.substr(0, name.size() - tail) : std::string();
}

bool is_preprocessed(const fs::path& folder) {
  return fs::is_directory(folder / kPreprocessedLabels) && !fs::exists(folder / "imagesTr");
}

std::vector<CaseFiles> cases_by_name(const fs::path& folder, const DatasetJson& json) {
  std::set<std::string> ids;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(folder / "imagesTr", failure))
    if (const auto id = case_of_channel_file(entry.path().filename().string(), json.file_ending); !id.empty())
      ids.insert(id);
  for (const auto& entry : fs::directory_iterator(folder / "labelsTr", failure))
    if (const std::string name = entry.path().filename().string(); name.ends_with(json.file_ending) && name[0] != '.')
      ids.insert(name.substr(0, name.size() - json.file_ending.size()));
  std::vector<CaseFiles> cases;
  for (const auto& id : ids) {
    CaseFiles files{id, {}, folder / "labelsTr" / (id + json.file_ending)};
    for (std::size_t c = 0; c < json.channel_names.size(); ++c)
      files.channels.push_back(folder / "imagesTr" / channel_file_name(id, c, json.file_ending));
    cases.push_back(std::move(files));
  }
  return cases;
}

/// The explicit form: "dataset": {case: {"images": [...], "label": ...}}, paths relative to the dataset's folder.
std::vector<CaseFiles> cases_by_list(const fs::path& folder, const DatasetJson& json) {
  std::vector<CaseFiles> cases;
  for (const auto& [id, entry] : json.cases.items()) {
    const Json images = entry.is_object() ? entry.value("images", Json()) : Json();
    const bool complete = images.is_array() && images.size() == json.channel_names.size() &&
                          std::all_of(images.begin(), images.end(), [](const Json& one) { return one.is_string(); }) &&
                          entry.contains("label") && entry["label"].is_string();
    if (!complete)
      throw UserError((folder / "dataset.json").string() + ": 'dataset' entry '" + id + "' needs 'images' with " +
                      std::to_string(json.channel_names.size()) + " paths and 'label' with one");
    CaseFiles files{id, {}, folder / entry["label"].get<std::string>()};
    for (const Json& image : images) files.channels.push_back(folder / image.get<std::string>());
    cases.push_back(std::move(files));
  }
  std::sort(cases.begin(), cases.end(), [](const CaseFiles& a, const CaseFiles& b) { return a.id < b.id; });
  return cases;
}

/// The cases of a preprocessed folder, as nnU-Net takes them: those of its configurations' folders. Label maps in
/// gt_segmentations alone are no cases.
std::vector<CaseFiles> preprocessed_cases(const fs::path& folder, const DatasetJson& json) {
  constexpr std::string_view image = ".b2nd", labels = "_seg.b2nd";
  std::set<std::string> ids;
  for (const auto& configuration : fs::directory_iterator(folder))
    if (configuration.is_directory())
      for (const auto& entry : fs::directory_iterator(configuration))
        if (const std::string name = entry.path().filename(); name.ends_with(image) && !name.ends_with(labels))
          ids.insert(name.substr(0, name.size() - image.size()));
  std::vector<CaseFiles> cases;
  for (const std::string& id : ids) cases.push_back({id, {}, folder / kPreprocessedLabels / (id + json.file_ending)});
  return cases;
}

void require_files(const fs::path& folder, const std::vector<CaseFiles>& cases) {
  std::vector<std::string> missing;
  for (const auto& files : cases) {
    for (const auto& channel : files.channels)
      if (!is_file(channel)) missing.push_back(channel.lexically_relative(folder).string());
    if (!is_file(files.labels)) missing.push_back(files.labels.lexically_relative(folder).string());
  }
  if (!missing.empty())
    throw UserError("dataset " + folder.string() + " lacks " + std::to_string(missing.size()) +
                    " files: " + some_of(missing) + "; add them, or remove the other files of these cases");
}

std::vector<CaseFiles> training_cases(const fs::path& folder, const DatasetJson& json, bool preprocessed) {
  const auto cases = preprocessed             ? preprocessed_cases(folder, json)
                     : json.cases.is_object() ? cases_by_list(folder, json)
                                              : cases_by_name(folder, json);
  for (const CaseFiles& files : cases) require_case_id(files.id, (folder / "dataset.json").string());
  if (cases.empty() && preprocessed)
    throw UserError("preprocessed folder " + folder.string() +
                    " holds no cases (<configuration>/<case>.b2nd); preprocess the raw data (m3d-bench prepare, "
                    "nnUNetv2_preprocess)");
  if (cases.empty())
    throw UserError("dataset folder " + folder.string() + " is empty: no imagesTr/<case>_0000" + json.file_ending +
                    "; fill it (nnU-Net v2 raw layout) or correct 'file_ending' in dataset.json");
  require_files(folder, cases);
  if (!preprocessed && json.number_of_training_cases &&
      *json.number_of_training_cases != static_cast<int>(cases.size()))
    throw UserError((folder / "dataset.json").string() + ": numTraining is " +
                    std::to_string(*json.number_of_training_cases) + " but " + std::to_string(cases.size()) +
                    " cases are there; copy the missing ones or correct the number");
  return cases;
}

void require_current_phantom(const Dataset& dataset) {
  const auto unordered = [](const Json& json) { return nlohmann::json::parse(json.dump()); };
  if (unordered(read_json(dataset.folder / "dataset.json")) != unordered(phantom_dataset_json(dataset.name)))
    throw UserError(dataset.folder.string() +
                    " was generated by another version of this program; delete or rename "
                    "the folder to have it generated anew");
}

Dataset read_dataset(const DatasetLocation& location) {
  const fs::path file = location.folder / "dataset.json";
  if (is_unfinished_conversion(location.folder))
    throw UserError("dataset folder " + location.folder.string() +
                    " is half converted; repeat the command m3d-bench prepare --source … that began it, which goes on "
                    "where it was");
  if (!is_file(file))
    throw UserError("dataset folder " + location.folder.string() +
                    " has no dataset.json; it must be an nnU-Net v2 raw dataset (dataset.json, imagesTr, labelsTr)");
  Dataset dataset;
  dataset.name = location.name;
  dataset.folder = location.folder;
  dataset.embedded = location.embedded;
  if (dataset.embedded) require_current_phantom(dataset);
  const DatasetJson json = read_dataset_json(file);
  take(dataset, json);
  dataset.preprocessed_only = is_preprocessed(dataset.folder);
  dataset.training = training_cases(dataset.folder, json, dataset.preprocessed_only);
  if (location.described) take_descriptor(dataset);
  return dataset;
}

void require_known_labels(const Dataset& dataset, const fs::path& file, const LabelImage& labels) {
  const auto allowed = allowed_label_values(dataset);
  std::map<int, std::int64_t> unknown;
  int last = 0;
  for (const int value : labels.voxels) {
    if (value == last) continue;
    last = value;
    if (!std::binary_search(allowed.begin(), allowed.end(), value)) ++unknown[value];
  }
  if (unknown.empty()) return;
  std::vector<std::string> values, known;
  for (const auto& [value, count] : unknown) values.push_back(std::to_string(value));
  for (const int value : allowed) known.push_back(std::to_string(value));
  throw UserError(file.string() + ": label value " + some_of(values) + " is not in dataset.json (which has " +
                  some_of(known) + "); correct the label map or add the label");
}

void require_geometry(const fs::path& file, const Geometry& geometry, const fs::path& first, const Geometry& expected) {
  if (same_geometry(geometry, expected)) return;
  throw UserError(file.string() + " and " + first.string() + " have different geometries:\n  " + describe(geometry) +
                  "\n  " + describe(expected) + "\n  resample one onto the other's grid");
}

}  // namespace

std::vector<int> allowed_label_values(const Dataset& dataset) {
  std::set<int> values{0};
  for (const auto& one : dataset.classes) values.insert(one.values.begin(), one.values.end());
  if (dataset.ignore_label) values.insert(*dataset.ignore_label);
  return {values.begin(), values.end()};
}

Dataset open_dataset(const std::string& name, const DataRoots& roots) {
  DatasetLocation location = locate_dataset(name, roots);
  if (location.folder.empty() && location.embedded) location.folder = generate_embedded(location.name, roots);
  if (location.folder.empty()) throw UserError(absent_message(location.name, roots));
  return read_dataset(location);
}

Dataset describe_dataset(const std::string& name, const DataRoots& roots) {
  const DatasetLocation location = locate_dataset(name, roots);
  if (!location.folder.empty()) return read_dataset(location);
  Dataset dataset;
  dataset.name = location.name;
  dataset.embedded = location.embedded;
  take(dataset,
       parse_dataset_json(dataset.embedded ? phantom_dataset_json(dataset.name) : dataset_descriptor(dataset.name),
                          "descriptor of '" + dataset.name + "'"));
  take_descriptor(dataset);
  return dataset;
}

void require_raw(const Dataset& dataset, const std::string& why) {
  if (!dataset.preprocessed_only) return;
  throw UserError(why + ": of '" + dataset.name + "' only the preprocessed folder " + dataset.folder.string() +
                  " is here; runs need a plan and its cases in there, or the raw data (nnUNet_raw, --data-root)");
}

LoadedCase load_case(const Dataset& dataset, const CaseFiles& files) {
  require_raw(dataset, "case '" + files.id + "' has no images");
  LoadedCase loaded{files.id, {}, {}};
  for (const auto& channel : files.channels) {
    loaded.channels.push_back(read_image(channel));
    require_geometry(channel, loaded.channels.back().geometry, files.channels.front(),
                     loaded.channels.front().geometry);
  }
  if (files.labels.empty()) return loaded;
  loaded.labels = read_labels(files.labels);
  require_geometry(files.labels, loaded.labels.geometry, files.channels.front(), loaded.channels.front().geometry);
  require_known_labels(dataset, files.labels, loaded.labels);
  return loaded;
}

}  // namespace m3d
