#include "reports/result_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace m3d::reports {
namespace {

constexpr std::size_t kMostClassesABlock = 9;

struct QuantityColumn {
  Column column;
  Quantity quantity;
  double scale = 1;
  bool carries_status = false;  // a configuration without a result has its status word here
};

std::string spaced(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

Column up(const std::string& title, const std::string& unit, int decimals = -1) {
  return {title, unit, Direction::up, Kind::number, decimals};
}
Column down(const std::string& title, const std::string& unit, int decimals = -1) {
  return {title, unit, Direction::down, Kind::number, decimals};
}

std::vector<QuantityColumn> quality_columns(const Section& section) {
  std::vector<QuantityColumn> columns;
  for (const std::string& group : section.groups)
    columns.push_back({up("Dice " + spaced(group), "%", 2),
                       [group](const Run& run) { return find_metrics(run.groups, group).dice; }, 100});
  columns.push_back({up("Mean Dice", "%", 2), [](const Run& run) { return run.mean.dice; }, 100, true});
  columns.push_back({down("HD95", "mm", 2), [](const Run& run) { return run.mean.hd95_mm; }});
  columns.push_back({down("HD95 penalised", "mm", 2), [](const Run& run) { return run.mean_hd95_mm_penalised; }});
  columns.push_back({up("NSD", "%", 2), [](const Run& run) { return run.mean.nsd; }, 100});
  columns.push_back(
      {{"Missed", "structures", Direction::down, Kind::count, 1}, [](const Run& run) { return run.missed; }});
  return columns;
}

template <class Member>
QuantityColumn cost_column(Column column, Member member, double scale) {
  return {std::move(column), [member](const Run& run) { return run.profile.*member; }, scale};
}

std::vector<QuantityColumn> cost_columns() {
  const double gibibyte = 1.0 / (1 << 30);
  return {cost_column(down("Parameters", "M"), &Profile::parameters, 1e-6),
          cost_column(down("MACs at patch", "G"), &Profile::macs, 1e-9),
          cost_column(down("MACs at 128³", "G"), &Profile::macs_at_128, 1e-9),
          cost_column(down("Scan state updates", "G"), &Profile::scan_state_updates, 1e-9),
          cost_column(down("Peak memory", "GiB"), &Profile::peak_memory_bytes, gibibyte),
          cost_column(up("Training", "patches/s"), &Profile::train_patches_per_second, 1),
          cost_column(up("Inference", "Mvoxel/s"), &Profile::inference_voxels_per_second, 1e-6)};
}

Cell summary_cell(const Configuration& configuration, const QuantityColumn& spec) {
  Cell cell;
  const Summary summary = summarise(configuration, spec.quantity);
  if (summary.mean) cell.value = *summary.mean * spec.scale;
  if (summary.deviation) cell.spread = *summary.deviation * spec.scale;
  if (!cell.value && spec.carries_status) cell.text = configuration.status_word();
  return cell;
}

/// A cost that is the same in every run (parameters, MACs) has no spread to show.
void drop_zero_spreads(Table& table) {
  for (std::size_t column = 0; column < table.columns.size(); ++column) {
    const bool all_zero = std::all_of(table.rows.begin(), table.rows.end(), [&](const auto& row) {
      return row[column].spread.value_or(0) <= 1e-9 * std::abs(row[column].value.value_or(0));
    });
    if (all_zero)
      for (auto& row : table.rows) row[column].spread.reset();
  }
}

bool has_numbers(const Section& section, const QuantityColumn& spec) {
  return std::any_of(section.configurations.begin(), section.configurations.end(),
                     [&](const auto& configuration) { return summarise(configuration, spec.quantity).n > 0; });
}

void fill(Table& table, const Section& section, const std::vector<QuantityColumn>& specs) {
  add_identity_columns(table, section);
  for (const QuantityColumn& spec : specs) table.columns.push_back(spec.column);
  for (const Configuration& configuration : section.configurations) {
    std::vector<Cell> row = identity_cells(section, configuration);
    for (const QuantityColumn& spec : specs) row.push_back(summary_cell(configuration, spec));
    table.rows.push_back(std::move(row));
  }
  table.notes = section.setting_notes;
  drop_zero_spreads(table);
  mark_best(table);
  choose_decimals(table);
}

bool any_repeated(const Section& section) {
  return std::any_of(section.configurations.begin(), section.configurations.end(),
                     [](const auto& c) { return c.runs.size() > 1; });
}

std::string spread_note(const Section& section) {
  return any_repeated(section) ? "Mean ± sample standard deviation (n − 1) over the runs of a row."
                               : "One run a row: no spread.";
}

Table class_table(const Section& section, const std::string& name, const Column& column,
                  std::optional<double> Metrics::*member, double scale) {
  Table table = start_table(section, "per_class_" + name, column.title + " per class");
  std::vector<QuantityColumn> specs;
  for (const std::string& title : section.classes) {
    Column one = column;
    one.title = spaced(title);
    specs.push_back({one, [title, member](const Run& run) { return find_metrics(run.per_class, title).*member; }, scale,
                     specs.empty()});
  }
  fill(table, section, specs);
  if (specs.size() > kMostClassesABlock) table.break_before = table.columns.size() - specs.size() / 2;
  table.notes.push_back("Mean over the cases of a run in which the metric is defined. " + spread_note(section));
  return table;
}

std::size_t seed_count(const Configuration& configuration) {
  std::set<std::uint64_t> seeds;
  for (const Run* run : configuration.runs) seeds.insert(run->seed);
  return seeds.size();
}

}  // namespace

Table start_table(const Section& section, const std::string& name, const std::string& title) {
  Table table;
  table.name = section.stem(name);
  table.title = title;
  table.scope = "suite " + section.suite + ", dataset " + section.dataset;
  std::set<std::string> commits, commands;
  for (const Run* run : section.all_runs()) {
    table.sources.push_back(fmt::format("run {} {}", run->hash, run->folder.filename().string()));
    if (run->provenance.contains("git_commit")) commits.insert(run->provenance.at("git_commit"));
    if (run->provenance.contains("command")) commands.insert(run->provenance.at("command"));
  }
  for (const std::string& commit : commits) table.sources.push_back("commit " + commit);
  for (const std::string& command : commands) table.sources.push_back("command " + command);
  return table;
}

void add_identity_columns(Table& table, const Section& section) {
  table.columns.push_back({"Architecture", "", Direction::none, Kind::text});
  for (const std::string& axis : section.varied_axes)
    if (axis != "architecture") table.columns.push_back({spaced(axis), "", Direction::none, Kind::text});
  if (!section.setting_notes.empty()) table.columns.push_back({"Settings", "", Direction::none, Kind::text});
  table.columns.push_back({"Runs", "", Direction::none, Kind::text});
}

std::vector<Cell> identity_cells(const Section& section, const Configuration& configuration) {
  std::vector<Cell> cells = {text_cell(configuration.first().title)};
  for (const std::string& axis : section.varied_axes)
    if (axis != "architecture") cells.push_back(text_cell(configuration.axis_value(axis)));
  if (!section.setting_notes.empty()) cells.push_back(text_cell(configuration.variant));
  cells.push_back(text_cell(sample_words(configuration)));
  return cells;
}

Table main_table(const Section& section) {
  Table table = start_table(section, "main", "Results");
  std::vector<QuantityColumn> specs = quality_columns(section);
  const std::size_t quality = specs.size();
  for (QuantityColumn& spec : cost_columns())
    if (has_numbers(section, spec)) specs.push_back(std::move(spec));
  fill(table, section, specs);
  if (specs.size() > quality) table.break_before = table.columns.size() - specs.size() + quality;
  table.notes.push_back("Bold: best; underlined: second best, on unrounded values. " + spread_note(section));
  table.notes.push_back(
      "MACs count one multiply-add as one and include the selective scan, at 3 per state update. Missed: structures "
      "that are in the reference and wholly absent from the prediction, over all cases and classes; HD95 leaves them "
      "out, its penalised form gives "
      "them the image's diagonal.");
  return table;
}

std::vector<Table> class_tables(const Section& section) {
  if (section.classes.empty()) return {};
  return {class_table(section, "dice", up("Dice", "%", 2), &Metrics::dice, 100),
          class_table(section, "hd95", down("HD95", "mm", 2), &Metrics::hd95_mm, 1),
          class_table(section, "nsd", up("NSD", "%", 2), &Metrics::nsd, 100)};
}

Table group_table(const Section& section) {
  Table table = start_table(section, "groups", "Dice of the probe groups over seeds");
  const bool several = std::any_of(section.configurations.begin(), section.configurations.end(),
                                   [](const auto& c) { return seed_count(c) > 1; });
  if (!several) return table;
  std::vector<QuantityColumn> specs;
  for (const QuantityColumn& spec : quality_columns(section))
    if (spec.column.title.find("Dice") != std::string::npos) specs.push_back(spec);
  fill(table, section, specs);
  table.notes.push_back(spread_note(section));
  return table;
}

}  // namespace m3d::reports
