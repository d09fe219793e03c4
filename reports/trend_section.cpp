#include "reports/trend_section.h"

#include <algorithm>

namespace m3d::reports {
namespace {

constexpr std::size_t kTableColumns = 10;

const KernelResult* find_result(const KernelResults& run, const std::string& name) {
  const auto found =
      std::find_if(run.results.begin(), run.results.end(), [&](const auto& result) { return result.name == name; });
  return found == run.results.end() ? nullptr : &*found;
}

Cell median_cell(const KernelResult* result) {
  if (result == nullptr) return {};
  if (result->milliseconds.empty()) return text_cell("failed");
  Cell cell;
  cell.value = result->median_milliseconds();
  return cell;
}

}  // namespace

std::set<std::string> TrendSection::operators() const {
  std::set<std::string> names;
  for (const KernelResults& run : runs)
    for (const KernelResult& result : run.results) names.insert(result.operator_name());
  return names;
}

std::set<std::string> TrendSection::benchmarks(const std::string& operator_name) const {
  std::set<std::string> names;
  for (const KernelResults& run : runs)
    for (const KernelResult& result : run.results)
      if (result.operator_name() == operator_name) names.insert(result.name);
  return names;
}

std::vector<TrendSection> trend_sections(std::vector<KernelResults> results) {
  std::stable_sort(results.begin(), results.end(),
                   [](const auto& a, const auto& b) { return a.context.started < b.context.started; });
  std::vector<TrendSection> sections;
  for (KernelResults& run : results) {
    const std::string machine = run.context.machine(), toolkit = run.context.toolkit();
    auto section = std::find_if(sections.begin(), sections.end(),
                                [&](const auto& s) { return s.machine == machine && s.toolkit == toolkit; });
    if (section == sections.end()) {
      sections.push_back({machine, toolkit, "machine_" + std::to_string(sections.size() + 1) + "_", {}});
      section = sections.end() - 1;
    }
    section->runs.push_back(std::move(run));
  }
  return sections;
}

std::string run_label(const KernelResults& run) {
  const bool dirty = run.context.git_commit.ends_with("-dirty");
  return run.context.started.substr(0, 10) + " " + run.context.git_commit.substr(0, 7) + (dirty ? "+" : "");
}

Table trend_table(const TrendSection& section, const std::string& operator_name) {
  Table table;
  table.name = section.prefix + operator_name;
  table.title = operator_name + ": median milliseconds of a call";
  table.scope = section.machine;
  table.columns.push_back({"Benchmark", "", Direction::none, Kind::text});
  const std::size_t shown = std::min(section.runs.size(), kTableColumns);
  for (std::size_t i = 0; i < shown; ++i)
    table.columns.push_back(
        {run_label(section.runs[section.runs.size() - 1 - i]), "ms", Direction::none, Kind::number, 3});
  for (const std::string& name : section.benchmarks(operator_name)) {
    std::vector<Cell> row = {text_cell(name.substr(operator_name.size() + 1))};
    for (std::size_t i = 0; i < shown; ++i)
      row.push_back(median_cell(find_result(section.runs[section.runs.size() - 1 - i], name)));
    table.rows.push_back(std::move(row));
  }
  if (section.runs.size() > shown)
    table.notes.push_back("The newest " + std::to_string(shown) + " of " + std::to_string(section.runs.size()) + ".");
  return table;
}

}  // namespace m3d::reports
