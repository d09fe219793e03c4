// The `metrics` object of record.json.
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

}  // namespace m3d
