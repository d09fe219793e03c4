#include "suite/regression/comparison.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "common/error.h"
#include "common/statistics.h"

namespace m3d {
namespace {

/// What a side has for one benchmark.
struct Samples {
  std::vector<double> milliseconds;
  std::string failure;
};
using Side = std::map<std::string, Samples>;

Side samples_of(const std::vector<KernelResults>& runs, bool cpu_time) {
  Side side;
  for (const KernelResults& run : runs)
    for (const KernelResult& result : run.results) {
      Samples& samples = side[result.name];
      const std::vector<double>& times = cpu_time ? result.cpu_milliseconds : result.milliseconds;
      if (!result.failure.empty()) samples.failure = result.failure;
      if (runs.size() == 1)
        samples.milliseconds = times;
      else if (!times.empty())
        samples.milliseconds.push_back(quantile(times, 0.5));
    }
  return side;
}

std::vector<double> logarithms(const std::vector<double>& values) {
  std::vector<double> logs;
  for (const double value : values) logs.push_back(std::log(value));
  return logs;
}

/// Sizes, p and ratio; the verdict follows when all p are adjusted.
SpeedComparison measure_change(const std::string& name, const Samples& before, const Samples& after) {
  SpeedComparison comparison;
  comparison.name = name;
  comparison.samples_before = before.milliseconds.size();
  comparison.samples_after = after.milliseconds.size();
  if (!before.milliseconds.empty()) comparison.before = quantile(before.milliseconds, 0.5);
  if (!after.milliseconds.empty()) comparison.after = quantile(after.milliseconds, 0.5);
  if (!before.failure.empty() || !after.failure.empty()) {
    comparison.reason = "failed " + std::string(after.failure.empty() ? "before: " + before.failure : after.failure);
  } else if (before.milliseconds.empty() || after.milliseconds.empty()) {
    comparison.reason = before.milliseconds.empty() ? "new: not in the baseline" : "only in the baseline";
  } else if (std::min(comparison.samples_before, comparison.samples_after) < kFewestSamples) {
    comparison.reason = "fewer than " + std::to_string(kFewestSamples) + " samples on a side";
  } else {
    const auto first = logarithms(before.milliseconds), second = logarithms(after.milliseconds);
    const Shift shift = shift_between(first, second);
    comparison.ratio = std::exp(shift.estimate);
    comparison.low = std::exp(shift.low);
    comparison.high = std::exp(shift.high);
    comparison.p = rank_sum(first, second);
  }
  return comparison;
}

void decide(SpeedComparison& comparison, const ComparisonOptions& options) {
  const bool significant = comparison.p < options.significance;
  const bool slower = comparison.ratio >= options.factor, faster = comparison.ratio <= 1 / options.factor;
  const bool within = comparison.low > 1 / options.factor && comparison.high < options.factor;
  if (within) {
    comparison.verdict = SpeedVerdict::same;
  } else if (slower || faster) {
    comparison.verdict = !significant ? SpeedVerdict::ambiguous : slower ? SpeedVerdict::slower : SpeedVerdict::faster;
    if (!significant) comparison.reason = "beyond the factor, but not significant";
  } else {
    comparison.verdict = SpeedVerdict::ambiguous;
    comparison.reason = significant ? "significant, but below the factor" : "too noisy to say";
  }
}

/// Sentences for whatever differs; `comparable` becomes false where machines do.
std::vector<std::string> differences_between(const std::vector<KernelResults>& before,
                                             const std::vector<KernelResults>& after, bool& comparable) {
  std::set<std::string> machines, toolkits;
  for (const auto* side : {&before, &after})
    for (const KernelResults& run : *side) {
      machines.insert(run.context.machine());
      toolkits.insert(run.context.toolkit());
    }
  comparable = machines.size() == 1;
  std::vector<std::string> remarks;
  const auto remark = [&](const std::set<std::string>& values, const std::string& what) {
    if (values.size() == 1) return;
    std::string list;
    for (const std::string& value : values) list += (list.empty() ? "" : " | ") + value;
    remarks.push_back(what + ": " + list);
  };
  remark(machines, "not the same machine, so there are no verdicts");
  remark(toolkits, "different tools");
  return remarks;
}

}  // namespace

std::string to_string(SpeedVerdict verdict) {
  switch (verdict) {
    case SpeedVerdict::same:
      return "same";
    case SpeedVerdict::faster:
      return "faster";
    case SpeedVerdict::slower:
      return "slower";
    case SpeedVerdict::ambiguous:
      return "ambiguous";
    case SpeedVerdict::unknown:
      return "unknown";
  }
  return "unknown";
}

bool SpeedReport::any_slower() const {
  return std::any_of(comparisons.begin(), comparisons.end(),
                     [](const auto& comparison) { return comparison.verdict == SpeedVerdict::slower; });
}

SpeedReport compare_speed(const std::vector<KernelResults>& before, const std::vector<KernelResults>& after,
                          const ComparisonOptions& options) {
  if (before.empty() || after.empty()) throw UserError("a comparison needs results on both sides");
  SpeedReport report;
  bool comparable = true;
  report.remarks = differences_between(before, after, comparable);
  const Side first = samples_of(before, options.cpu_time), second = samples_of(after, options.cpu_time);
  std::set<std::string> names;
  for (const Side* side : {&first, &second})
    for (const auto& [name, samples] : *side) names.insert(name);
  std::vector<double> p_values;
  std::vector<std::size_t> tested;
  for (const std::string& name : names) {
    const auto from = [&](const Side& side) { return side.count(name) > 0 ? side.at(name) : Samples{}; };
    report.comparisons.push_back(measure_change(name, from(first), from(second)));
    if (!comparable) report.comparisons.back().reason = "another machine";
    if (!report.comparisons.back().reason.empty()) continue;
    tested.push_back(report.comparisons.size() - 1);
    p_values.push_back(report.comparisons.back().p);
  }
  const std::vector<double> adjusted = holm(p_values);
  for (std::size_t i = 0; i < tested.size(); ++i) {
    report.comparisons[tested[i]].p = adjusted[i];
    decide(report.comparisons[tested[i]], options);
  }
  return report;
}

Json to_json(const SpeedReport& report) {
  Json list = Json::array();
  for (const SpeedComparison& comparison : report.comparisons) {
    Json entry = {{"name", comparison.name},
                  {"verdict", to_string(comparison.verdict)},
                  {"reason", comparison.reason},
                  {"samples", {comparison.samples_before, comparison.samples_after}},
                  {"before_milliseconds", comparison.before > 0 ? Json(comparison.before) : Json()},
                  {"after_milliseconds", comparison.after > 0 ? Json(comparison.after) : Json()}};
    if (comparison.ratio > 0) {
      entry["ratio"] = comparison.ratio;
      entry["ratio_interval"] = {comparison.low, comparison.high};
      entry["p"] = comparison.p;
    }
    list.push_back(entry);
  }
  return {{"verdicts", list}, {"remarks", report.remarks}};
}

}  // namespace m3d
