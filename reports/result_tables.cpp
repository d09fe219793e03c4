#include "reports/result_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

namespace m3d::reports {
namespace {

constexpr std::size_t kMostClassesABlock = 9;

/// What a configuration without a finished run has in place of a number.
enum class Word { none, status, out_of_memory };

struct QuantityColumn {
  Column column;
  Quantity quantity;
  double scale = 1;
  Word word = Word::none;
  bool known_beforehand = false;  // counted, not measured: runs that failed have it too
};

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
  columns.push_back({up("Mean Dice", "%", 2), [](const Run& run) { return run.mean.dice; }, 100, Word::status});
  columns.push_back({down("HD95", "mm", 2), [](const Run& run) { return run.mean.hd95_mm; }});
  columns.push_back({down("HD95 penalised", "mm", 2), [](const Run& run) { return run.mean_hd95_mm_penalised; }});
  columns.push_back({up("NSD", "%", 2), [](const Run& run) { return run.mean.nsd; }, 100});
  columns.push_back(
      {{"Missed", "structures", Direction::down, Kind::count, 1}, [](const Run& run) { return run.missed; }});
  return columns;
}

template <class Member>
QuantityColumn measured(Column column, Member member, double scale, Word word = Word::none) {
  return {std::move(column), [member](const Run& run) { return std::invoke(member, run.profile); }, scale, word};
}

template <class Member>
QuantityColumn counted(Column column, Member member, double scale) {
  QuantityColumn spec = measured(std::move(column), member, scale);
  spec.known_beforehand = true;
  return spec;
}

std::vector<QuantityColumn> cost_columns() {
  return {counted(down("Parameters", "M"), &Profile::parameters, 1e-6),
          counted(down("MACs at patch", "G"), &Profile::macs, 1e-9),
          counted(down("MACs at 128³", "G"), &Profile::macs_at_128, 1e-9),
          counted({"Scan state updates", "M", Direction::none, Kind::number, 1}, &Profile::scan_state_updates, 1e-6),
          measured(down("Peak memory", "GiB"), &Profile::peak_memory_bytes, 1 / kGibibyte),
          measured(up("Training", "patches/s"), &Profile::train_patches_per_second, 1),
          measured(up("Inference", "Mvoxel/s"), &Profile::inference_voxels_per_second, 1e-6)};
}

Summary summary_of(const Configuration& configuration, const QuantityColumn& spec) {
  return summarise(spec.known_beforehand ? configuration.all_runs() : configuration.runs, spec.quantity);
}

std::string word_of(const Configuration& configuration, const QuantityColumn& spec) {
  const bool worded = spec.word == Word::status || (spec.word == Word::out_of_memory && configuration.out_of_memory());
  return worded ? configuration.status_word() : "";
}

Cell summary_cell(const Configuration& configuration, const QuantityColumn& spec) {
  Cell cell;
  const Summary summary = summary_of(configuration, spec);
  if (summary.mean) cell.value = *summary.mean * spec.scale;
  if (summary.deviation) cell.spread = *summary.deviation * spec.scale;
  if (!cell.value) cell.text = word_of(configuration, spec);
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
                     [&](const auto& configuration) { return summary_of(configuration, spec).n > 0; });
}

bool has_words(const Section& section, const QuantityColumn& spec) {
  return std::any_of(section.configurations.begin(), section.configurations.end(),
                     [&](const auto& configuration) { return !word_of(configuration, spec).empty(); });
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
  table.notes.insert(table.notes.end(), section.mixed_recipes.begin(), section.mixed_recipes.end());
  table.notes.insert(table.notes.end(), section.leaks.begin(), section.leaks.end());
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
                     specs.empty() ? Word::status : Word::none});
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

std::set<std::string> distinct_profile_texts(const Section& section, std::string Profile::*member) {
  std::set<std::string> texts;
  for (const Run* run : section.all_runs())
    if (!(run->profile.*member).empty()) texts.insert(run->profile.*member);
  return texts;
}

bool at_one_patch(const Section& section) { return distinct_profile_texts(section, &Profile::patch).size() < 2; }

/// Those of the costs that some run has. Costs at different patches are in no order of merit: no direction, no marks.
void add_costs(std::vector<QuantityColumn>& specs, const Section& section, const std::vector<QuantityColumn>& costs) {
  for (QuantityColumn spec : costs) {
    if (!has_numbers(section, spec) && !has_words(section, spec)) continue;
    if (!at_one_patch(section)) spec.column.direction = Direction::none;
    specs.push_back(std::move(spec));
  }
}

/// Total training time in the unit that suits the longest.
QuantityColumn training_time_column(const Section& section) {
  double longest = 0;
  for (const Run* run : section.all_runs()) longest = std::max(longest, run->profile.train_seconds.value_or(0));
  const auto [unit, seconds] = longest >= 2 * 3600 ? std::pair("h", 3600.0)
                               : longest >= 2 * 60 ? std::pair("min", 60.0)
                                                   : std::pair("s", 1.0);
  return measured(down("Training time", unit), &Profile::train_seconds, 1 / seconds, Word::status);
}

std::vector<QuantityColumn> efficiency_columns(const Section& section) {
  return {counted(down("Parameters", "M"), &Profile::parameters, 1e-6),
          counted(down("MACs at patch", "G"), &Profile::macs, 1e-9),
          measured(down("Peak memory", "GiB"), &Profile::memory_bytes, 1 / kGibibyte, Word::out_of_memory),
          counted({"Predicted need", "GiB"}, &Profile::predicted_tensor_bytes, 1 / kGibibyte),
          training_time_column(section),
          measured(up("Training", "patches/s"), &Profile::train_patches_per_second, 1),
          measured(down("Inference", "s/patch", 4), &Profile::inference_seconds_a_patch, 1)};
}

/// The patch that was profiled; of a run that has no profile the axis' value.
std::string patch_of(const Configuration& configuration) {
  for (const Run* run : configuration.all_runs())
    if (!run->profile.patch.empty()) return run->profile.patch;
  const std::string value = configuration.axis_value("patch");
  return value == "–" ? "" : value;
}

/// Before the runs' column.
void insert_patches(Table& table, const Section& section) {
  const auto runs = std::find_if(table.columns.begin(), table.columns.end(), [](auto& c) { return c.title == "Runs"; });
  const auto place = runs - table.columns.begin();
  table.columns.insert(runs, {"Patch", "voxels", Direction::none, Kind::text});
  for (std::size_t i = 0; i < table.rows.size(); ++i)
    table.rows[i].insert(table.rows[i].begin() + place, text_cell(patch_of(section.configurations[i])));
}

/// "cpu A, cpu B": a set in words.
std::string listed(const std::set<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "" : ", ") + text;
  return list;
}

std::vector<std::string> efficiency_notes(const Section& section) {
  std::set<std::string> batch_sizes, tensors_only;
  for (const Configuration& configuration : section.configurations)
    for (const Run* run : configuration.all_runs()) {
      if (const auto size = run->settings.find("data.batch_size"); size != run->settings.end())
        batch_sizes.insert(size->second);
      if (!run->profile.peak_memory_bytes && run->profile.peak_tensor_bytes) tensors_only.insert(configuration.label);
    }
  std::string conditions =
      at_one_patch(section) ? "Bold: best; underlined: second best. " : "Costs at different patches are not ranked. ";
  conditions += spread_note(section);
  if (const auto devices = distinct_profile_texts(section, &Profile::device); !devices.empty())
    conditions += " Measured on: " + listed(devices) + ".";
  if (!batch_sizes.empty()) conditions += " Batch size: " + listed(batch_sizes) + ".";
  std::string memory =
      "Peak memory: what the process (CPU) or the allocator (GPU) holds more at most during training steps. Predicted "
      "need: the most bytes of tensors alive in a training step, computed beforehand. OOM: memory did not suffice.";
  if (!tensors_only.empty()) memory += " Tensors alone were counted for: " + listed(tensors_only) + ".";
  return {conditions, memory, "Training time is the whole run's; inference is one forward pass of one patch."};
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
  add_costs(specs, section, cost_columns());
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

Table efficiency_table(const Section& section) {
  Table table = start_table(section, "efficiency", "Efficiency at the patch");
  std::vector<QuantityColumn> specs;
  add_costs(specs, section, efficiency_columns(section));
  if (std::none_of(specs.begin(), specs.end(), [&](const auto& spec) { return has_numbers(section, spec); }))
    return table;
  Section without_patch = section;  // which has a column of its own
  std::erase(without_patch.varied_axes, "patch");
  fill(table, without_patch, specs);
  insert_patches(table, section);
  for (const std::string& note : efficiency_notes(section)) table.notes.push_back(note);
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
