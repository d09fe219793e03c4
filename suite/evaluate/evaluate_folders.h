#pragma once
// Predictions of a folder against references: the numbers of record.json, of `m3d-bench evaluate` and of summary.json.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/strict_yaml.h"
#include "datasets/catalogue/dataset.h"
#include "suite/evaluate/metrics.h"

namespace m3d {

/// What is to be evaluated in a label map.
struct EvaluationLabels {
  std::vector<LabelClass> classes;
  std::vector<int> allowed_values;  // others in a file are errors; background included
  std::map<std::string, std::vector<std::string>> groups;
  std::optional<int> ignore_label;  // reference voxels of this value count nowhere
  bool region_based = false;
  double nsd_tolerance_mm = 1.0;
};
EvaluationLabels evaluation_labels(const Dataset& dataset);
/// From a file with a `labels` object as in nnU-Net's dataset.json (JSON or YAML): name → value, or → list of values
/// for regions; optional `groups` (name → class names) and `nsd_tolerance_mm`. Throws UserError naming file and key.
EvaluationLabels evaluation_labels(const std::filesystem::path& file);

struct CaseEvaluation {
  std::string id;
  std::filesystem::path prediction, reference;
  double diagonal_mm = 0;
  std::vector<StructureMetrics> structures;  // by class
};

struct Evaluation {
  EvaluationLabels labels;
  std::vector<CaseEvaluation> cases;  // in the order of the ids
};

/// Evaluates `<id>.nii.gz` (or another ending of image_endings.h, each for itself) of both folders. Without `case_ids`:
/// every reference, sorted by id. Throws UserError: a folder absent or without images, a case without prediction or
/// reference (naming the file), other geometry than the reference, a label value that is not allowed.
Evaluation evaluate_folders(const std::filesystem::path& predictions, const std::filesystem::path& references,
                            const EvaluationLabels& labels, const std::vector<std::string>& case_ids = {});

/// One case from images in memory; the paths are for messages and summary.json. Same checks.
CaseEvaluation evaluate_images(const std::string& id, const LabelImage& prediction,
                               const std::filesystem::path& prediction_file, const LabelImage& reference,
                               const std::filesystem::path& reference_file, const EvaluationLabels& labels);

/// The `metrics` object of record.json (DESIGN.md). Undefined values are null.
Json metrics_json(const Evaluation& evaluation);

/// nnU-Net v2's summary.json, byte for byte as its evaluation writes it (evaluation/evaluate_predictions.py,
/// nnunet_conventions.md §11) but for the paths: keys sorted, regions as Python tuples, undefined values the bare token
/// NaN, which strict JSON readers do not take.
std::string summary_text(const Evaluation& evaluation);

}  // namespace m3d
