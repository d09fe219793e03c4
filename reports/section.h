#pragma once
// Runs in the order in which people compare them: a section a (suite, dataset), in it a configuration (architecture and
// axis values), in it the runs that differ by seed or fold only.
#include <functional>
#include <string>
#include <vector>

#include "common/statistics.h"
#include "reports/run_folder.h"

namespace m3d::reports {

struct Configuration {
  std::vector<const Run*> runs;      // status ok
  std::vector<const Run*> failures;  // every other status
  std::string label;                 // "UlikeMamba_3d · tri": unique in its section
  std::string short_label;           // what tells it apart: "tri", "gsc none · tom released"
  std::string variant;               // "A", "B" … where equal axis values were trained with different settings

  const Run& first() const { return runs.empty() ? *failures.front() : *runs.front(); }
  /// The axis' value, "architecture" included; "–" where the record has none.
  std::string axis_value(const std::string& axis) const;
  /// "OOM", "diverged", "failed" where no run is ok, else empty.
  std::string status_word() const;
  bool out_of_memory() const { return runs.empty() && first().status == "oom"; }
  /// Finished ones first.
  std::vector<const Run*> all_runs() const;
};

struct Section {
  std::string suite, dataset;
  std::vector<Configuration> configurations;  // in the runs' order; the first is the baseline
  std::vector<std::string> varied_axes;       // axes with more than one value; "architecture" first where it varies
  std::vector<std::string> setting_notes;     // what the variants are: "Settings A: train.epochs 12."
  std::vector<std::string> mixed_recipes;     // what else was not trained alike: "Mixed recipes: train.epochs is …"
  std::vector<std::string> leaks;             // splits with patients on both sides: "Leak: split … has …"
  std::vector<std::string> classes, groups;   // in the records' order

  std::vector<const Run*> all_runs() const;
  /// File name stem of a table or figure: `name`, prefixed where a report has several sections.
  std::string stem(const std::string& name) const { return prefix + name; }
  std::string prefix;
};

/// The sections point into `runs`, which must outlive them.
std::vector<Section> sections_of(const std::vector<Run>& runs);

using m3d::summarise;
using Quantity = std::function<std::optional<double>(const Run&)>;
/// Over the runs that have the quantity; of a configuration's runs the finished ones.
Summary summarise(const std::vector<const Run*>& runs, const Quantity& quantity);
Summary summarise(const Configuration& configuration, const Quantity& quantity);

/// The metrics of `name` in a record's list (groups, per_class); all absent where it is not listed.
Metrics find_metrics(const std::vector<std::pair<std::string, Metrics>>& list, const std::string& name);

/// How many runs stand behind a row: "3 seeds", "5 folds × 2 seeds", "2 seeds of 3 (1 diverged)".
std::string sample_words(const Configuration& configuration);

/// Mean Dice over a case's classes by case id, averaged over the configuration's runs that have the case.
std::map<std::string, double> case_dice(const Configuration& configuration);

/// "OOM" for "oom"; other words unchanged.
std::string status_title(const std::string& status);

}  // namespace m3d::reports
