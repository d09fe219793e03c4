// The two documents made of an evaluation: the `metrics` object of record.json and nnU-Net's summary.json.
#include <algorithm>
#include <optional>

#include "suite/evaluate/evaluate_folders.h"

namespace m3d {
namespace {

using Value = std::optional<double>;

Json to_json(const Value& value) { return value ? Json(*value) : Json(nullptr); }

/// Mean of the values that are defined; undefined where none is.
class Mean {
 public:
  void add(const Value& value) {
    if (!value) return;
    sum_ += *value;
    ++count_;
  }
  Value value() const { return count_ > 0 ? Value(sum_ / static_cast<double>(count_)) : std::nullopt; }

 private:
  double sum_ = 0;
  std::int64_t count_ = 0;
};

struct MetricMeans {
  Mean dice, hd95_mm, nsd;
  void add(const Value& case_dice, const Value& case_hd95_mm, const Value& case_nsd) {
    dice.add(case_dice);
    hd95_mm.add(case_hd95_mm);
    nsd.add(case_nsd);
  }
  Json json() const {
    return {{"dice", to_json(dice.value())}, {"hd95_mm", to_json(hd95_mm.value())}, {"nsd", to_json(nsd.value())}};
  }
};

/// Means over the cases of one class.
struct ClassMeans {
  MetricMeans means;
  Mean penalised_hd95_mm;
  std::int64_t missed = 0;
};

ClassMeans class_means(const Evaluation& evaluation, std::size_t class_index) {
  ClassMeans result;
  for (const CaseEvaluation& one : evaluation.cases) {
    const StructureMetrics& structure = one.structures[class_index];
    result.means.add(structure.dice, structure.hd95_mm, structure.nsd);
    result.penalised_hd95_mm.add(structure.missed() ? Value(one.diagonal_mm) : structure.hd95_mm);
    result.missed += structure.missed() ? 1 : 0;
  }
  return result;
}

void add_class(MetricMeans& over_classes, const ClassMeans& of_class) {
  const MetricMeans& means = of_class.means;
  over_classes.add(means.dice.value(), means.hd95_mm.value(), means.nsd.value());
}

Json groups_json(const EvaluationLabels& labels, const std::vector<ClassMeans>& classes) {
  Json groups = Json::object();
  for (const auto& [group, names] : labels.groups) {
    MetricMeans means;
    for (std::size_t i = 0; i < classes.size(); ++i)
      if (std::find(names.begin(), names.end(), labels.classes[i].name) != names.end()) add_class(means, classes[i]);
    groups[group] = means.json();
  }
  return groups;
}

Json per_case_json(const Evaluation& evaluation) {
  Json rows = Json::array();
  for (const CaseEvaluation& one : evaluation.cases)
    for (std::size_t i = 0; i < one.structures.size(); ++i)
      rows.push_back({{"case", one.id},
                      {"class", evaluation.labels.classes[i].name},
                      {"dice", to_json(one.structures[i].dice)},
                      {"hd95_mm", to_json(one.structures[i].hd95_mm)},
                      {"nsd", to_json(one.structures[i].nsd)}});
  return rows;
}

// What follows is nnU-Net's summary.json (nnunet_conventions.md §11).

const std::vector<std::string> kSummaryKeys = {"Dice", "FN", "FP", "IoU", "TN", "TP", "n_pred", "n_ref"};

std::vector<Value> summary_values(const StructureMetrics& structure) {
  const auto number = [](std::int64_t count) { return Value(static_cast<double>(count)); };
  const std::int64_t joint = structure.true_positive + structure.false_positive + structure.false_negative;
  const Value overlap =
      joint > 0 ? Value(static_cast<double>(structure.true_positive) / static_cast<double>(joint)) : std::nullopt;
  return {structure.dice,
          number(structure.false_negative),
          number(structure.false_positive),
          overlap,
          number(structure.true_negative),
          number(structure.true_positive),
          number(structure.prediction_voxels()),
          number(structure.reference_voxels())};
}

Json summary_row(const std::vector<Value>& values, bool whole_counts) {
  Json row = Json::object();
  for (std::size_t i = 0; i < kSummaryKeys.size(); ++i) {
    const bool quotient = kSummaryKeys[i] == "Dice" || kSummaryKeys[i] == "IoU";
    row[kSummaryKeys[i]] = whole_counts && !quotient ? Json(static_cast<std::int64_t>(*values[i])) : to_json(values[i]);
  }
  return row;
}

/// "3", or for regions a Python tuple: "(1, 2, 3)", "(3,)".
std::string summary_label(const LabelClass& label_class, bool region_based) {
  if (!region_based) return std::to_string(label_class.values.front());
  std::string text;
  for (const int value : label_class.values) text += (text.empty() ? "(" : ", ") + std::to_string(value);
  return text + (label_class.values.size() == 1 ? ",)" : ")");
}

std::vector<Value> summary_means(const Evaluation& evaluation, std::size_t class_index) {
  std::vector<Mean> means(kSummaryKeys.size());
  for (const CaseEvaluation& one : evaluation.cases) {
    const std::vector<Value> values = summary_values(one.structures[class_index]);
    for (std::size_t i = 0; i < means.size(); ++i) means[i].add(values[i]);
  }
  std::vector<Value> result;
  for (const Mean& mean : means) result.push_back(mean.value());
  return result;
}

/// nnU-Net's plain mean: undefined as soon as one label is.
std::vector<Value> foreground_means(const std::vector<std::vector<Value>>& labels) {
  std::vector<Value> result(kSummaryKeys.size(), 0.0);
  for (const std::vector<Value>& values : labels)
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] =
          result[i] && values[i] ? Value(*result[i] + *values[i] / static_cast<double>(labels.size())) : std::nullopt;
  return result;
}

Json sorted_by_key(const Json& object) {
  const nlohmann::json sorted = object;  // nlohmann's plain object sorts its keys, as nnU-Net's writer does
  return Json(sorted);
}

}  // namespace

Json metrics_json(const Evaluation& evaluation) {
  std::vector<ClassMeans> classes;
  MetricMeans over_classes;
  Mean penalised;
  Json per_class = Json::object(), missed = Json::object();
  for (std::size_t i = 0; i < evaluation.labels.classes.size(); ++i) {
    const std::string& name = evaluation.labels.classes[i].name;
    classes.push_back(class_means(evaluation, i));
    add_class(over_classes, classes.back());
    penalised.add(classes.back().penalised_hd95_mm.value());
    per_class[name] = classes.back().means.json();
    missed[name] = classes.back().missed;
  }
  return {{"mean_dice", to_json(over_classes.dice.value())},
          {"mean_hd95_mm", to_json(over_classes.hd95_mm.value())},
          {"mean_nsd", to_json(over_classes.nsd.value())},
          {"groups", groups_json(evaluation.labels, classes)},
          {"per_class", per_class},
          {"per_case", per_case_json(evaluation)},
          {"missed", missed},
          {"mean_hd95_mm_penalised", to_json(penalised.value())}};
}

Json summary_json(const Evaluation& evaluation) {
  const EvaluationLabels& labels = evaluation.labels;
  std::vector<std::string> names;
  std::vector<std::vector<Value>> means;
  Json mean = Json::object(), cases = Json::array();
  for (std::size_t i = 0; i < labels.classes.size(); ++i) {
    names.push_back(summary_label(labels.classes[i], labels.region_based));
    means.push_back(summary_means(evaluation, i));
    mean[names[i]] = summary_row(means[i], false);
  }
  for (const CaseEvaluation& one : evaluation.cases) {
    Json metrics = Json::object();
    for (std::size_t i = 0; i < names.size(); ++i)
      metrics[names[i]] = summary_row(summary_values(one.structures[i]), true);
    cases.push_back({{"metrics", metrics},
                     {"prediction_file", one.prediction.string()},
                     {"reference_file", one.reference.string()}});
  }
  return sorted_by_key(
      {{"foreground_mean", summary_row(foreground_means(means), false)}, {"mean", mean}, {"metric_per_case", cases}});
}

}  // namespace m3d
