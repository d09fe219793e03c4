#include "reports/differences.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/result_tables.h"

namespace m3d::reports {
namespace {

/// True where `a` and `b` were trained alike: settings (not the model's options) are equal, the axis itself aside.
/// Architectures may each have their own recipe.
bool trained_alike(const std::string& axis, const Configuration& a, const Configuration& b) {
  if (axis == "architecture") return true;
  const auto& theirs = b.first().settings;
  return std::all_of(a.first().settings.begin(), a.first().settings.end(), [&](const auto& setting) {
    const auto& [name, value] = setting;
    if (name.starts_with("model.") || name.starts_with("profile.") || name.ends_with(axis)) return true;
    const auto match = theirs.find(name);
    return match != theirs.end() && match->second == value;
  });
}

bool differ_only_by(const Section& section, const std::string& axis, const Configuration& a, const Configuration& b) {
  for (const std::string& other : section.varied_axes)
    if (other != axis && a.axis_value(other) != b.axis_value(other)) return false;
  return a.axis_value(axis) != b.axis_value(axis) && trained_alike(axis, a, b);
}

std::string held_values(const Section& section, const std::string& axis, const Configuration& configuration) {
  std::string held = axis == "architecture" ? "" : configuration.first().title;
  for (const std::string& other : section.varied_axes) {
    if (other == axis || other == "architecture") continue;
    held += (held.empty() ? "" : ", ") + spaced(other) + " " + configuration.axis_value(other);
  }
  if (!configuration.variant.empty()) held += (held.empty() ? "" : ", ") + ("settings " + configuration.variant);
  return held;
}

std::vector<double> paired_differences(const Configuration& base, const Configuration& other) {
  const auto before = case_dice(base), after = case_dice(other);
  std::vector<double> differences;
  for (const auto& [id, dice] : after)
    if (const auto match = before.find(id); match != before.end()) differences.push_back(dice - match->second);
  return differences;
}

struct Test {
  std::size_t row;
  double p;
};

/// Why there is nothing to compare: "OOM", "base diverged"; empty where both have finished runs.
std::string missing_word(const Configuration& base, const Configuration& other) {
  if (!other.runs.empty()) return base.runs.empty() ? "base " + base.status_word() : "";
  return other.status_word();
}

void add_row(Table& table, const Comparison& comparison, const Configuration& other, std::vector<Test>& tests) {
  const Configuration& base = *comparison.members.front();
  const std::vector<double> differences = paired_differences(base, other);
  std::vector<Cell> row = {text_cell(spaced(comparison.axis)), text_cell(comparison.held),
                           text_cell(base.axis_value(comparison.axis)), text_cell(other.axis_value(comparison.axis))};
  Cell cases, mean, median, p, adjusted;
  cases.value = static_cast<double>(differences.size());
  if (!differences.empty()) {
    mean.value = 100 * *summarise(differences).mean;
    median.value = 100 * quantile(differences, 0.5);
  }
  mean.text = missing_word(base, other);
  if (differences.size() < kFewestCases) {
    p.text = adjusted.text = mean.text.empty() ? "n too small" : mean.text;
  } else {
    p.value = wilcoxon_signed_rank(differences);
    tests.push_back({table.rows.size(), *p.value});
  }
  row.insert(row.end(), {cases, mean, median, p, adjusted});
  table.rows.push_back(std::move(row));
}

void adjust(Table& table, const std::vector<Test>& tests) {
  std::vector<double> p_values;
  for (const Test& test : tests) p_values.push_back(test.p);
  const std::vector<double> adjusted = holm(p_values);
  for (std::size_t i = 0; i < tests.size(); ++i) table.rows[tests[i].row].back().value = adjusted[i];
}

/// A value of the axis with its mean and spread over seeds: folds of a seed are averaged first.
struct SeedSummary {
  std::string value;
  Summary summary;
};

Summary over_seeds(const Configuration& configuration, const Quantity& quantity) {
  std::map<std::uint64_t, std::vector<double>> by_seed;
  for (const Run* run : configuration.runs)
    if (const auto value = quantity(*run)) by_seed[run->seed].push_back(*value);
  std::vector<double> means;
  for (const auto& [seed, values] : by_seed) means.push_back(*summarise(values).mean);
  return summarise(means);
}

std::vector<SeedSummary> seed_summaries(const Comparison& comparison, const Quantity& quantity) {
  std::vector<SeedSummary> summaries;
  for (const Configuration* member : comparison.members) {
    const Summary summary = over_seeds(*member, quantity);
    if (summary.deviation) summaries.push_back({member->axis_value(comparison.axis), summary});
  }
  return summaries;
}

struct Pair {
  const SeedSummary* high = nullptr;
  const SeedSummary* low = nullptr;
  double difference = 0, limit = 0;
  bool exceeds() const { return difference > limit; }
};

std::vector<Pair> pairs_of(const std::vector<SeedSummary>& summaries) {
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < summaries.size(); ++i)
    for (std::size_t j = i + 1; j < summaries.size(); ++j) {
      const bool first_higher = *summaries[i].summary.mean >= *summaries[j].summary.mean;
      const SeedSummary& high = summaries[first_higher ? i : j];
      const SeedSummary& low = summaries[first_higher ? j : i];
      pairs.push_back({&high, &low, *high.summary.mean - *low.summary.mean,
                       2 * std::max(*high.summary.deviation, *low.summary.deviation)});
    }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& a, const Pair& b) { return a.difference > b.difference; });
  return pairs;
}

/// "tri over single (+3.10), dual (+2.80); dual over …": every pair that differs by more than its limit, the higher
/// first.
std::string differing_pairs(const std::vector<SeedSummary>& summaries, const std::vector<Pair>& pairs) {
  std::vector<const SeedSummary*> ranked;
  for (const SeedSummary& summary : summaries) ranked.push_back(&summary);
  std::stable_sort(ranked.begin(), ranked.end(), [](auto a, auto b) { return *a->summary.mean > *b->summary.mean; });
  std::string text;
  for (const SeedSummary* high : ranked) {
    std::string lows;
    for (const Pair& pair : pairs)
      if (pair.high == high && pair.exceeds())
        lows += fmt::format("{}{} (+{})", lows.empty() ? "" : ", ", pair.low->value, fixed(100 * pair.difference, 2));
    if (!lows.empty()) text += fmt::format("{}{} over {}", text.empty() ? "" : "; ", high->value, lows);
  }
  return text;
}

std::string verdict(const std::vector<SeedSummary>& summaries, const std::string& axis) {
  const std::vector<Pair> pairs = pairs_of(summaries);
  const std::string differing = differing_pairs(summaries, pairs);
  if (!differing.empty())
    return fmt::format("values of {} differ by more than twice the spread over seeds: {} Dice points.", spaced(axis),
                       differing);
  const Pair& widest = pairs.front();
  return fmt::format(
      "no value of {} differs from another by more than twice the spread over seeds (widest: {} over {} by {} Dice "
      "points, twice the spread is {}).",
      spaced(axis), widest.high->value, widest.low->value, fixed(100 * widest.difference, 2),
      fixed(100 * widest.limit, 2));
}

void add_sentence(std::vector<std::string>& sentences, const Comparison& comparison, const std::string& title,
                  const Quantity& quantity) {
  const std::vector<SeedSummary> summaries = seed_summaries(comparison, quantity);
  if (summaries.size() < 2) return;
  std::size_t fewest = summaries.front().summary.n;
  for (const SeedSummary& summary : summaries) fewest = std::min(fewest, summary.summary.n);
  const std::string held = comparison.held.empty() ? "" : comparison.held + "; ";
  sentences.push_back(fmt::format("{} ({}{} seeds): {}", title, held, fewest, verdict(summaries, comparison.axis)));
}

}  // namespace

std::vector<Comparison> comparisons_of(const Section& section) {
  std::vector<Comparison> comparisons;
  for (const std::string& axis : section.varied_axes) {
    std::vector<bool> taken(section.configurations.size(), false);
    for (std::size_t i = 0; i < section.configurations.size(); ++i) {
      if (taken[i]) continue;
      const Configuration& base = section.configurations[i];
      Comparison comparison{axis, held_values(section, axis, base), {&base}};
      for (std::size_t j = i + 1; j < section.configurations.size(); ++j)
        if (!taken[j] && differ_only_by(section, axis, base, section.configurations[j])) {
          comparison.members.push_back(&section.configurations[j]);
          taken[j] = true;
        }
      if (comparison.members.size() > 1) comparisons.push_back(std::move(comparison));
    }
  }
  return comparisons;
}

Table difference_table(const Section& section) {
  Table table = start_table(section, "differences", "Differences between axis values");
  const auto words = [](const std::string& title) { return Column{title, "", Direction::none, Kind::text}; };
  table.columns = {words("Axis"),
                   words("Held"),
                   words("From"),
                   words("To"),
                   {"Cases", "", Direction::none, Kind::count, 0},
                   {"Mean difference", "Dice points", Direction::none, Kind::number, 2},
                   {"Median difference", "Dice points", Direction::none, Kind::number, 2},
                   {"p", "Wilcoxon", Direction::none, Kind::probability, 4},
                   {"p adjusted", "Holm", Direction::none, Kind::probability, 4}};
  std::vector<Test> tests;
  for (const Comparison& comparison : comparisons_of(section))
    for (std::size_t i = 1; i < comparison.members.size(); ++i)
      add_row(table, comparison, *comparison.members[i], tests);
  adjust(table, tests);
  const std::string method =
      tests.empty()
          ? fmt::format("No test was made: it needs {} cases.", kFewestCases)
          : fmt::format(
                "Two-sided Wilcoxon signed-rank test, exact distribution, zeros dropped; Holm's adjustment over "
                "the {} tests of this table; below {} cases no test is made.",
                tests.size(), kFewestCases);
  table.notes = {"A case counts once: its mean Dice over classes, averaged over the runs of a configuration. " +
                 method};
  return table;
}

std::vector<std::string> seed_sentences(const Section& section) {
  std::vector<std::string> sentences;
  for (const Comparison& comparison : comparisons_of(section)) {
    for (const std::string& group : section.groups)
      add_sentence(sentences, comparison, "Dice of " + spaced(group),
                   [group](const Run& run) { return find_metrics(run.groups, group).dice; });
    add_sentence(sentences, comparison, "Mean Dice", [](const Run& run) { return run.mean.dice; });
  }
  return sentences;
}

}  // namespace m3d::reports
