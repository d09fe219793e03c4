#include "suite/evaluate/evaluate_folders.h"

#include <algorithm>
#include <set>

#include "common/error.h"
#include "common/nearest_name.h"
#include "datasets/images/image_endings.h"

namespace m3d {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> case_ids_of(const fs::path& folder) {
  std::set<std::string> ids;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string(), ending = image_ending(entry.path());
    if (!ending.empty()) ids.insert(name.substr(0, name.size() - ending.size()));
  }
  return {ids.begin(), ids.end()};
}

void require_folder(const fs::path& folder, const std::string& what) {
  if (!fs::is_directory(folder)) throw UserError(folder.string() + ": no such folder of " + what);
}

void require_file(const fs::path& file, const std::string& what, const std::string& id) {
  if (!fs::exists(file))
    throw UserError(file.string() + ": case '" + id + "' has no " + what +
                    "; add the file, or evaluate a folder of references that holds only the predicted cases");
}

void require_same_geometry(const LabelImage& prediction, const fs::path& prediction_file, const LabelImage& reference,
                           const fs::path& reference_file) {
  if (!same_geometry(prediction.geometry, reference.geometry))
    throw UserError(prediction_file.string() + ": geometry differs from " + reference_file.string() + ": " +
                    describe(prediction.geometry) + " instead of " + describe(reference.geometry) +
                    "; write predictions in the geometry of the case");
}

void require_allowed_values(const LabelImage& image, const fs::path& file, const std::vector<int>& allowed) {
  std::vector<char> is_allowed(65536, 0);
  for (const int value : allowed) is_allowed[static_cast<std::uint16_t>(value)] = 1;
  const auto wrong = std::find_if(image.voxels.begin(), image.voxels.end(),
                                  [&](std::int16_t value) { return !is_allowed[static_cast<std::uint16_t>(value)]; });
  if (wrong == image.voxels.end()) return;
  std::string known;
  for (const int value : allowed) known += (known.empty() ? "" : ", ") + std::to_string(value);
  throw UserError(file.string() + ": label value " + std::to_string(*wrong) + " is not one of the labels (" + known +
                  ")");
}

/// Metrics as if the voxels that the reference ignores were not there.
std::vector<StructureMetrics> evaluate_labels(const LabelImage& prediction, const LabelImage& reference,
                                              const EvaluationLabels& labels) {
  if (!labels.ignore_label) return evaluate_case(prediction, reference, labels.classes, labels.nsd_tolerance_mm);
  LabelImage kept = prediction;
  std::int64_t ignored = 0;
  for (std::size_t i = 0; i < kept.voxels.size(); ++i) {
    if (reference.voxels[i] != *labels.ignore_label) continue;
    kept.voxels[i] = reference.voxels[i];
    ++ignored;
  }
  std::vector<StructureMetrics> metrics = evaluate_case(kept, reference, labels.classes, labels.nsd_tolerance_mm);
  for (StructureMetrics& structure : metrics) structure.true_negative -= ignored;
  return metrics;
}

bool is_label(const Json& value) { return value.is_number_integer() && value >= 0 && value <= 32767; }

std::vector<int> values_of(const YamlDocument& document, const std::string& name, const Json& value) {
  if (is_label(value)) return {value.get<int>()};
  if (value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), is_label))
    return value.get<std::vector<int>>();
  throw UserError(document.where("/labels/" + name) + ": label '" + name + "' is " + value.dump() +
                  "; expected a whole number of at least 0 or a list of them");
}

void add_label(const YamlDocument& document, const std::string& name, const Json& value, EvaluationLabels& labels) {
  const std::vector<int> values = values_of(document, name, value);
  labels.allowed_values.insert(labels.allowed_values.end(), values.begin(), values.end());
  if (name == "ignore") labels.ignore_label = values.front();
  if (name == "ignore" || values == std::vector<int>{0}) return;
  labels.region_based = labels.region_based || values.size() > 1;
  labels.classes.push_back({name, values, value.is_array()});
}

void add_groups(const YamlDocument& document, EvaluationLabels& labels) {
  if (!document.root().contains("groups")) return;
  std::vector<std::string> known;
  for (const LabelClass& label_class : labels.classes) known.push_back(label_class.name);
  for (const auto& [group, names] : document.root().at("groups").items()) {
    for (const Json& name : names) {
      if (!name.is_string() || std::find(known.begin(), known.end(), name.get<std::string>()) == known.end())
        throw UserError(document.where("/groups/" + group) + ": " +
                        unknown_name_message("class", name.is_string() ? name.get<std::string>() : name.dump(), known));
      labels.groups[group].push_back(name.get<std::string>());
    }
  }
}

}  // namespace

EvaluationLabels evaluation_labels(const Dataset& dataset) {
  return {dataset.classes,      allowed_label_values(dataset), dataset.groups,
          dataset.ignore_label, dataset.region_based,          dataset.nsd_tolerance_mm};
}

EvaluationLabels evaluation_labels(const fs::path& file) {
  const YamlDocument document = YamlDocument::load(file);
  const Json& root = document.root();
  if (!root.is_object() || !root.contains("labels") || !root.at("labels").is_object())
    throw UserError(file.string() +
                    R"(: expected an object 'labels' as in nnU-Net's dataset.json: {"background": 0, "liver": 1})");
  EvaluationLabels labels;
  labels.allowed_values = {0};
  for (const auto& [name, value] : root.at("labels").items()) add_label(document, name, value, labels);
  if (labels.classes.empty()) throw UserError(document.where("/labels") + ": 'labels' names nothing but background");
  std::sort(labels.allowed_values.begin(), labels.allowed_values.end());
  labels.allowed_values.erase(std::unique(labels.allowed_values.begin(), labels.allowed_values.end()),
                              labels.allowed_values.end());
  add_groups(document, labels);
  if (root.contains("nsd_tolerance_mm")) {
    const Json& tolerance = root.at("nsd_tolerance_mm");
    if (!tolerance.is_number() || tolerance.get<double>() < 0)
      throw UserError(document.where("/nsd_tolerance_mm") + ": nsd_tolerance_mm is " + tolerance.dump() +
                      "; expected millimetres of at least 0");
    labels.nsd_tolerance_mm = tolerance.get<double>();
  }
  return labels;
}

CaseEvaluation evaluate_images(const std::string& id, const LabelImage& prediction, const fs::path& prediction_file,
                               const LabelImage& reference, const fs::path& reference_file,
                               const EvaluationLabels& labels) {
  require_same_geometry(prediction, prediction_file, reference, reference_file);
  require_allowed_values(prediction, prediction_file, labels.allowed_values);
  require_allowed_values(reference, reference_file, labels.allowed_values);
  return {id, prediction_file, reference_file, diagonal_mm(reference.geometry),
          evaluate_labels(prediction, reference, labels)};
}

Evaluation evaluate_folders(const fs::path& predictions, const fs::path& references, const EvaluationLabels& labels,
                            const std::vector<std::string>& case_ids) {
  require_folder(predictions, "predictions");
  require_folder(references, "references");
  const std::vector<std::string> ids = case_ids.empty() ? case_ids_of(references) : case_ids;
  if (ids.empty())
    throw UserError(references.string() + ": no references in this folder; expected images whose names end in one of " +
                    Json(image_endings()).dump());
  for (const std::string& id : ids) {
    require_file(image_file(references, id), "reference", id);
    require_file(image_file(predictions, id), "prediction", id);
  }
  Evaluation evaluation{labels, {}};
  for (const std::string& id : ids) {
    const fs::path prediction = image_file(predictions, id), reference = image_file(references, id);
    evaluation.cases.push_back(
        evaluate_images(id, read_labels(prediction), prediction, read_labels(reference), reference, labels));
  }
  return evaluation;
}

}  // namespace m3d
