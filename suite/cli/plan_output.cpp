#include "suite/cli/plan_output.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "suite/cli/output.h"

namespace m3d {
namespace {

std::string word_of(RunState state) {
  switch (state) {
    case RunState::fresh:
      return "new";
    case RunState::partial:
      return "partial";
    case RunState::done:
      return "done";
    case RunState::failed:
      return "failed";
    case RunState::skipped:
      return "skipped";
    case RunState::damaged:
      return "damaged";
  }
  return "unknown";
}

std::string state_and_reason(const PlannedRun& run) {
  return word_of(run.state) + (run.reason.empty() ? "" : ": " + run.reason);
}

/// "parameters 1.21 M for ulike_mamba_3d's 1.22 M".
std::string match_words(const Json& match) {
  if (match.is_null()) return "-";
  return match.at("budget").get<std::string>() + " " + short_count(match.at("reached").get<std::int64_t>()) + " for " +
         match.at("like").get<std::string>() + "'s " + short_count(match.at("target").get<std::int64_t>());
}

std::map<std::string, int> counts_by_state(const std::vector<PlannedRun>& plan) {
  std::map<std::string, int> counts;
  for (const auto& run : plan) ++counts[word_of(run.state)];
  return counts;
}

std::int64_t total_macs(const std::vector<PlannedRun>& plan) {
  std::int64_t total = 0;
  for (const auto& run : plan) total += run.macs.total();
  return total;
}

std::string count_or_dash(std::int64_t count) { return count > 0 ? short_count(count) : "-"; }

}  // namespace

void print_plan(const std::vector<PlannedRun>& plan) {
  std::vector<std::vector<std::string>> rows = {{"hash", "parameters", "MACs", "run", "state"}};
  for (const auto& run : plan)
    rows.push_back({run.config.hash().substr(0, 8), count_or_dash(run.parameters), count_or_dash(run.macs.total()),
                    run.config.dataset + "/" + run.config.name, state_and_reason(run)});
  const auto is_matched = [](const PlannedRun& run) { return !run.config.match.is_null(); };
  if (std::any_of(plan.begin(), plan.end(), is_matched)) {
    rows.front().push_back("matched");
    for (std::size_t i = 0; i < plan.size(); ++i) rows[i + 1].push_back(match_words(plan[i].config.match));
  }
  print_table(rows);
  std::string totals = std::to_string(plan.size()) + (plan.size() == 1 ? " run:" : " runs:");
  for (const auto& [state, count] : counts_by_state(plan)) totals += " " + std::to_string(count) + " " + state + ",";
  std::printf("%s %s MACs a forward pass of each\n", totals.c_str(), count_or_dash(total_macs(plan)).c_str());
}

Json plan_json(const std::vector<PlannedRun>& plan) {
  Json runs = Json::array();
  for (const auto& run : plan) {
    const RunConfig& config = run.config;
    Json entry = {{"hash", config.hash()},       {"name", config.name},
                  {"dataset", config.dataset},   {"architecture", config.architecture},
                  {"axes", config.axes},         {"fold", config.fold},
                  {"seed", config.seed},         {"folder", run.folder.string()},
                  {"state", word_of(run.state)}, {"reason", run.reason}};
    if (run.parameters > 0) entry["parameters"] = run.parameters;
    if (run.macs.total() > 0) entry["macs"] = run.macs.total();
    if (!config.match.is_null()) {
      entry["match"] = config.match;
      entry["model"] = config.model;
    }
    runs.push_back(entry);
  }
  Json totals = Json(nlohmann::json(counts_by_state(plan)));
  totals["runs"] = plan.size();
  totals["macs"] = total_macs(plan);
  return {{"suite", plan.empty() ? "" : plan.front().config.suite}, {"runs", runs}, {"totals", totals}};
}

}  // namespace m3d
