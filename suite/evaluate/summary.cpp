// nnU-Net's summary.json (nnunet_conventions.md §11).
#include <array>
#include <cmath>
#include <limits>

#include "suite/evaluate/evaluate_folders.h"
#include "suite/evaluate/python_json.h"

namespace m3d {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

/// The metrics of one label in one case: the quotients, and counts of voxels.
const std::vector<std::string> kQuotients = {"Dice", "IoU"};
const std::vector<std::string> kCounts = {"FN", "FP", "TN", "TP", "n_pred", "n_ref"};

Json case_row(const StructureMetrics& structure) {
  const std::int64_t joint = structure.true_positive + structure.false_positive + structure.false_negative;
  const double overlap =
      joint > 0 ? static_cast<double>(structure.true_positive) / static_cast<double>(joint) : kUndefined;
  return {{"Dice", structure.dice.value_or(kUndefined)},
          {"IoU", overlap},
          {"FN", structure.false_negative},
          {"FP", structure.false_positive},
          {"TN", structure.true_negative},
          {"TP", structure.true_positive},
          {"n_pred", structure.prediction_voxels()},
          {"n_ref", structure.reference_voxels()}};
}

/// The sum in the order that NumPy adds (pairwise in blocks of at most 128, eight running sums a block), since the last
/// digits of a mean follow from it.
double numpy_sum(const double* values, std::size_t count) {
  if (count > 128) {
    const std::size_t half = count / 2 - count / 2 % 8;
    return numpy_sum(values, half) + numpy_sum(values + half, count - half);
  }
  double rest = 0;
  std::size_t i = 0;
  if (count >= 8) {
    std::array<double, 8> sums{};
    for (; i + 8 <= count; i += 8)
      for (std::size_t lane = 0; lane < 8; ++lane) sums[lane] += values[i + lane];
    rest = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  }
  for (; i < count; ++i) rest += values[i];
  return rest;
}

double mean_of(const std::vector<double>& values, std::size_t count) {
  return count > 0 ? numpy_sum(values.data(), values.size()) / static_cast<double>(count) : kUndefined;
}

/// numpy.nanmean: undefined values count as zeros of the sum and not in its divisor.
double mean_of_defined(std::vector<double> values) {
  std::size_t defined = 0;
  for (double& value : values) {
    if (std::isnan(value))
      value = 0;
    else
      ++defined;
  }
  return mean_of(values, defined);
}

/// `mean` of each metric over rows; the result has the metrics in the rows' order.
template <class Mean>
Json mean_row(const std::vector<Json>& rows, const Mean& mean) {
  Json result = Json::object();
  for (const auto* names : {&kQuotients, &kCounts})
    for (const std::string& name : *names) {
      std::vector<double> values;
      for (const Json& row : rows) values.push_back(row.at(name).get<double>());
      result[name] = mean(values);
    }
  return result;
}

/// "3", or for regions a Python tuple as dataset.json lists them: "(1, 2, 3)", "(3,)"; "3" where it has no list.
std::string label_key(const LabelClass& label_class, bool region_based) {
  if (!region_based || (label_class.values.size() == 1 && !label_class.listed))
    return std::to_string(label_class.values.front());
  std::string text;
  for (const int value : label_class.values) text += (text.empty() ? "(" : ", ") + std::to_string(value);
  return text + (label_class.values.size() == 1 ? ",)" : ")");
}

}  // namespace

std::string summary_text(const Evaluation& evaluation) {
  const EvaluationLabels& labels = evaluation.labels;
  std::vector<Json> means;
  Json mean = Json::object(), cases = Json::array();
  for (const CaseEvaluation& one : evaluation.cases)
    cases.push_back({{"metrics", Json::object()},
                     {"prediction_file", one.prediction.string()},
                     {"reference_file", one.reference.string()}});
  for (std::size_t i = 0; i < labels.classes.size(); ++i) {
    const std::string key = label_key(labels.classes[i], labels.region_based);
    std::vector<Json> rows;
    for (std::size_t j = 0; j < evaluation.cases.size(); ++j) {
      rows.push_back(case_row(evaluation.cases[j].structures[i]));
      cases[j]["metrics"][key] = rows.back();
    }
    means.push_back(mean_row(rows, mean_of_defined));
    mean[key] = means.back();
  }
  const auto plain_mean = [](const std::vector<double>& values) { return mean_of(values, values.size()); };
  return python_json_text(
      {{"foreground_mean", mean_row(means, plain_mean)}, {"mean", mean}, {"metric_per_case", cases}});
}

}  // namespace m3d
