#include "reports/section.h"

#include <algorithm>
#include <set>

#include "reports/table.h"

namespace m3d::reports {
namespace {

using Texts = std::vector<std::string>;

void add_once(Texts& list, const std::string& text) {
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
}

std::string join(const Texts& texts, const std::string& separator) {
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : separator) + text;
  return joined;
}

/// What must be equal for two runs to be repetitions of one experiment. What only the profiler or checkpoints read does
/// not count.
std::string repetition_key(const Run& run) {
  std::string key = run.architecture;
  for (const auto& [name, value] : run.axes) key += "\n" + name + "=" + value;
  for (const auto& [name, value] : run.settings)
    if (!name.starts_with("profile.") && name != "train.checkpoint_every_steps") key += "\n" + name + "=" + value;
  return key;
}

Section& section_for(std::vector<Section>& sections, const Run& run) {
  for (Section& section : sections)
    if (section.suite == run.suite && section.dataset == run.dataset) return section;
  Section section;
  section.suite = run.suite;
  section.dataset = run.dataset;
  sections.push_back(section);
  return sections.back();
}

/// A new configuration stands with those of its architecture: each selection of a suite (--architecture) counts its own
/// positions.
void add_run(Section& section, const Run& run) {
  auto& list = section.configurations;
  const std::string key = repetition_key(run);
  auto place = std::find_if(list.begin(), list.end(), [&](const auto& c) { return repetition_key(c.first()) == key; });
  if (place == list.end()) {
    const auto last = std::find_if(list.rbegin(), list.rend(),
                                   [&](const auto& c) { return c.first().architecture == run.architecture; });
    place = list.insert(last == list.rend() ? list.end() : last.base(), Configuration());
  }
  (run.ok() ? place->runs : place->failures).push_back(&run);
  for (const auto& [name, metrics] : run.per_class) add_once(section.classes, name);
  for (const auto& [name, metrics] : run.groups) add_once(section.groups, name);
}

void find_varied_axes(Section& section) {
  Texts axes = {"architecture"};
  for (const Configuration& configuration : section.configurations)
    for (const auto& [name, value] : configuration.first().axes) add_once(axes, name);
  for (const std::string& axis : axes) {
    std::set<std::string> values;
    for (const Configuration& configuration : section.configurations) values.insert(configuration.axis_value(axis));
    if (values.size() > 1) section.varied_axes.push_back(axis);
  }
}

/// Settings in which configurations of one label differ. Axis values are no settings.
std::set<std::string> differing_settings(const Section& section) {
  std::set<std::string> differing;
  const auto compare = [&](const Configuration& a, const Configuration& b) {
    for (const auto& [name, value] : a.first().settings) {
      const auto theirs = b.first().settings.find(name);
      if (theirs == b.first().settings.end() || theirs->second != value) differing.insert(name);
    }
  };
  for (const Configuration& a : section.configurations)
    for (const Configuration& b : section.configurations)
      if (&a != &b && a.label == b.label) compare(a, b);
  return differing;
}

std::string settings_text(const Configuration& configuration, const std::set<std::string>& names) {
  Texts texts;
  for (const std::string& name : names)
    if (const auto found = configuration.first().settings.find(name); found != configuration.first().settings.end())
      texts.push_back(name + " " + found->second);
  return join(texts, ", ");
}

/// Where configurations share a label, every configuration of the section is told by its settings: A, B, ….
void name_variants(Section& section) {
  const std::set<std::string> names = differing_settings(section);
  if (names.empty()) return;
  Texts variants;
  for (Configuration& configuration : section.configurations) {
    const std::string text = settings_text(configuration, names);
    add_once(variants, text);
    const auto position = std::find(variants.begin(), variants.end(), text) - variants.begin();
    configuration.variant =
        position < 26 ? std::string(1, static_cast<char>('A' + position)) : std::to_string(position);
  }
  for (Configuration& configuration : section.configurations) {
    configuration.label += " · settings " + configuration.variant;
    configuration.short_label += " · settings " + configuration.variant;
  }
  for (const Configuration& configuration : section.configurations)
    add_once(section.setting_notes,
             "Settings " + configuration.variant + ": " + settings_text(configuration, names) + ".");
}

/// Where several axes vary, their names stand before the values: "gsc none · tom released".
void name_configurations(Section& section) {
  Texts axes = section.varied_axes;
  std::erase(axes, "architecture");
  for (Configuration& configuration : section.configurations) {
    Texts values;
    for (const std::string& axis : axes)
      values.push_back((axes.size() > 1 ? spaced(axis) + " " : "") + configuration.axis_value(axis));
    Texts full = values;
    full.insert(full.begin(), configuration.first().title);
    const bool one_architecture = section.varied_axes.empty() || section.varied_axes.front() != "architecture";
    configuration.label = join(full, " · ");
    configuration.short_label = one_architecture && !values.empty() ? join(values, " · ") : configuration.label;
  }
  name_variants(section);
}

/// Settings of which a result follows; the model's options are what a table compares.
bool is_of_a_recipe(const std::string& name) {
  static const std::set<std::string> other = {"train.checkpoint_every_steps", "train.memory_limit_gib",
                                              "train.initial_weights", "infer.memory_limit_gib"};
  const bool decides = name.starts_with("data.") || name.starts_with("train.") || name.starts_with("infer.");
  return decides && !other.contains(name);
}

/// Labels by value of a setting, in the configurations' order; none where all have one value.
std::vector<std::pair<std::string, Texts>> holders_by_value(const Section& section, const std::string& name) {
  std::vector<std::pair<std::string, Texts>> holders;
  for (const Configuration& configuration : section.configurations) {
    const auto found = configuration.first().settings.find(name);
    const std::string value = found == configuration.first().settings.end() ? "not set" : found->second;
    auto place = std::find_if(holders.begin(), holders.end(), [&](const auto& entry) { return entry.first == value; });
    if (place == holders.end()) place = holders.insert(holders.end(), {value, {}});
    add_once(place->second, configuration.short_label);
  }
  return holders.size() > 1 ? holders : std::vector<std::pair<std::string, Texts>>();
}

/// Rows of one table that were not trained alike are no fair comparison: what differs is said under each table, unless
/// an axis of the table varies it (an axis has its setting's name) or the variants say it already.
void note_mixed_recipes(Section& section) {
  constexpr std::size_t most_names = 4;
  std::set<std::string> names;
  for (const Configuration& configuration : section.configurations)
    for (const auto& [name, value] : configuration.first().settings) names.insert(name);
  const std::set<std::string> told = differing_settings(section);
  for (const std::string& name : names) {
    const bool by_axis = std::any_of(section.varied_axes.begin(), section.varied_axes.end(),
                                     [&](const std::string& axis) { return name.ends_with("." + axis); });
    if (!is_of_a_recipe(name) || by_axis || told.contains(name)) continue;
    Texts parts;
    for (auto [value, labels] : holders_by_value(section, name)) {
      const std::size_t more = labels.size() > most_names ? labels.size() - most_names : 0;
      labels.resize(labels.size() - more);
      parts.push_back(value + " for " + join(labels, ", ") + (more ? " and " + std::to_string(more) + " more" : ""));
    }
    if (!parts.empty()) section.mixed_recipes.push_back("Mixed recipes: " + name + " is " + join(parts, "; ") + ".");
  }
}

std::string counted(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

/// A published split may train on patients whom it validates with. Its numbers are not those of unseen patients.
void note_leaks(Section& section) {
  std::map<std::pair<std::string, std::string>, std::map<int, std::int64_t>> patients;  // split and leak → fold
  for (const Run* run : section.all_runs())
    if (!run->leak.empty()) patients[{run->split, run->leak}][run->fold] = run->leaking_patients;
  for (const auto& [split, folds] : patients) {
    Texts parts;
    for (const auto& [fold, count] : folds)
      parts.push_back(counted(static_cast<std::size_t>(count), "patient") + " in fold " + std::to_string(fold));
    section.leaks.push_back("Leak: split " + split.first + " has the same patients in training and validation (" +
                            join(parts, ", ") + "): " + split.second + ".");
  }
}

}  // namespace

std::string status_title(const std::string& status) { return status == "oom" ? "OOM" : status; }

std::string Configuration::axis_value(const std::string& axis) const {
  if (axis == "architecture") return first().title;
  for (const auto& [name, value] : first().axes)
    if (name == axis) return value;
  return "–";
}

std::string Configuration::status_word() const { return runs.empty() ? status_title(failures.front()->status) : ""; }

std::vector<const Run*> Configuration::all_runs() const {
  std::vector<const Run*> all = runs;
  all.insert(all.end(), failures.begin(), failures.end());
  return all;
}

std::vector<const Run*> Section::all_runs() const {
  std::vector<const Run*> runs;
  for (const Configuration& configuration : configurations) {
    const std::vector<const Run*> more = configuration.all_runs();
    runs.insert(runs.end(), more.begin(), more.end());
  }
  return runs;
}

std::vector<Section> sections_of(const std::vector<Run>& runs) {
  std::vector<Section> sections;
  for (const Run& run : runs) add_run(section_for(sections, run), run);
  for (Section& section : sections) {
    if (sections.size() > 1) section.prefix = section.suite + "-" + section.dataset + "-";
    find_varied_axes(section);
    name_configurations(section);
    note_mixed_recipes(section);
    note_leaks(section);
  }
  return sections;
}

Summary summarise(const std::vector<const Run*>& runs, const Quantity& quantity) {
  std::vector<double> values;
  for (const Run* run : runs)
    if (const auto value = quantity(*run)) values.push_back(*value);
  return summarise(values);
}

Summary summarise(const Configuration& configuration, const Quantity& quantity) {
  return summarise(configuration.runs, quantity);
}

Metrics find_metrics(const std::vector<std::pair<std::string, Metrics>>& list, const std::string& name) {
  for (const auto& [entry, metrics] : list)
    if (entry == name) return metrics;
  return {};
}

std::string sample_words(const Configuration& configuration) {
  std::set<int> folds;
  std::set<std::uint64_t> seeds;
  for (const Run* run : configuration.runs) {
    folds.insert(run->fold);
    seeds.insert(run->seed);
  }
  std::string words = counted(seeds.size(), "seed");
  if (folds.size() > 1) words = counted(folds.size(), "fold") + " × " + words;
  if (folds.size() * seeds.size() != configuration.runs.size()) words = counted(configuration.runs.size(), "run");
  if (configuration.failures.empty()) return words;
  std::map<std::string, int> reasons;
  for (const Run* run : configuration.failures) ++reasons[status_title(run->status)];
  Texts failed;
  for (const auto& [reason, count] : reasons) failed.push_back(std::to_string(count) + " " + reason);
  return (configuration.runs.empty() ? "" : words + ", ") + join(failed, ", ");
}

std::map<std::string, double> case_dice(const Configuration& configuration) {
  std::map<std::string, std::vector<double>> run_means;
  for (const Run* run : configuration.runs) {
    std::map<std::string, std::vector<double>> classes;
    for (const CaseMetrics& entry : run->per_case)
      if (entry.metrics.dice) classes[entry.case_id].push_back(*entry.metrics.dice);
    for (const auto& [id, values] : classes) run_means[id].push_back(*summarise(values).mean);
  }
  std::map<std::string, double> dice;
  for (const auto& [id, values] : run_means) dice[id] = *summarise(values).mean;
  return dice;
}

}  // namespace m3d::reports
