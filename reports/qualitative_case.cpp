#include "reports/qualitative_case.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/error.h"
#include "reports/table.h"

namespace m3d::reports {
namespace fs = std::filesystem;
namespace {

/// Best, median and worst case of the baseline; fewer where it has fewer cases. Equal Dice: by case id.
std::vector<CaseChoice> choices_of(const Configuration& baseline) {
  std::vector<std::pair<double, std::string>> ranked;
  for (const auto& [id, dice] : case_dice(baseline)) ranked.emplace_back(dice, id);
  std::sort(ranked.begin(), ranked.end());
  if (ranked.empty()) return {};
  const auto choice = [&](const std::string& rule, std::size_t i) {
    return CaseChoice{rule, ranked[i].second, ranked[i].first};
  };
  std::vector<CaseChoice> choices = {choice("best", ranked.size() - 1)};
  if (ranked.size() > 2) choices.push_back(choice("median", (ranked.size() - 1) / 2));
  if (ranked.size() > 1) choices.push_back(choice("worst", 0));
  return choices;
}

/// The reference, and of every configuration the prediction of the first run that kept one.
std::vector<TitledLabels> columns_of(const Section& section, LoadedCase& loaded) {
  std::vector<TitledLabels> columns = {{"reference", std::move(loaded.labels)}};
  for (const Configuration& configuration : section.configurations) {
    for (const Run* run : configuration.runs) {
      const fs::path file = run->folder / "predictions" / (loaded.id + ".nii.gz");
      if (!fs::exists(file)) continue;
      LabelImage prediction = read_labels(file);
      if (prediction.shape() != columns.front().labels.shape())
        throw UserError(file.string() + " does not have its case's shape");
      columns.push_back({configuration.short_label, std::move(prediction)});
      break;
    }
  }
  return columns;
}

std::vector<Structure> structures_of(const Dataset& dataset, const Theme& theme) {
  std::map<int, std::pair<std::size_t, std::string>> smallest;
  for (const LabelClass& structure : dataset.classes)
    for (const int value : structure.values) {
      const auto [place, fresh] = smallest.try_emplace(value, structure.values.size(), structure.name);
      if (!fresh && structure.values.size() < place->second.first)
        place->second = {structure.values.size(), structure.name};
    }
  std::vector<Structure> structures;
  for (const auto& [value, entry] : smallest) {
    const std::string& colour = theme.structures[structures.size() % theme.structures.size()];
    structures.push_back({value, entry.second, parse_colour(colour)});
  }
  return structures;
}

std::map<std::string, double> dice_by_label(const Section& section, const std::string& case_id) {
  std::map<std::string, double> dice;
  for (const Configuration& configuration : section.configurations) {
    const auto cases = case_dice(configuration);
    if (const auto found = cases.find(case_id); found != cases.end())
      dice[configuration.short_label] = 100 * found->second;
  }
  return dice;
}

/// The first configuration that has a finished run.
const Configuration* baseline_of(const Section& section) {
  for (const Configuration& configuration : section.configurations)
    if (!configuration.runs.empty()) return &configuration;
  return nullptr;
}

/// Throws UserError where the case or every prediction of it is gone.
QualitativeCase load(const Section& section, const Dataset& dataset, const CaseChoice& choice, const Theme& theme) {
  const auto files = std::find_if(dataset.training.begin(), dataset.training.end(),
                                  [&](const CaseFiles& entry) { return entry.id == choice.case_id; });
  if (files == dataset.training.end()) throw UserError("the dataset has no case " + choice.case_id);
  LoadedCase loaded = load_case(dataset, *files);
  QualitativeCase shown;
  shown.choice = choice;
  shown.baseline = baseline_of(section)->label;
  shown.channel = dataset.channel_names.empty() ? "0" : dataset.channel_names.front();
  shown.columns = columns_of(section, loaded);
  if (shown.columns.size() == 1) throw UserError("no run kept a prediction of " + choice.case_id);
  shown.image = std::move(loaded.channels.front());
  shown.dice = dice_by_label(section, choice.case_id);
  shown.structures = structures_of(dataset, theme);
  shown.hashes = run_hashes(section);
  return shown;
}

/// The slices of a case, and its surfaces where it is the one that has them.
std::vector<Drawing> drawings_of(const Section& section, const Dataset& dataset, const CaseChoice& choice,
                                 bool with_surfaces, const Theme& theme, const fs::path& folder) {
  const std::string slices = section.stem("slices_" + choice.rule), surfaces = section.stem("surfaces");
  std::vector<Drawing> drawings;
  try {
    const QualitativeCase shown = load(section, dataset, choice, theme);
    drawings.push_back(case_slices(shown, slices, theme, folder));
    if (with_surfaces) drawings.push_back(case_surfaces(shown, surfaces, theme, folder));
  } catch (const UserError& failure) {
    drawings = {omitted(slices, slices_title(choice), failure.what())};
    if (with_surfaces) drawings.push_back(omitted(surfaces, surfaces_title(choice), failure.what()));
  }
  return drawings;
}

}  // namespace

std::string QualitativeCase::words() const {
  return fmt::format("Case {}: mean Dice {} % for the baseline ({}).", choice.case_id, fixed(100 * choice.dice, 1),
                     baseline);
}

std::string slices_title(const CaseChoice& choice) { return "Slices: the baseline's " + choice.rule + " case"; }
std::string surfaces_title(const CaseChoice& choice) { return "Surfaces: the baseline's " + choice.rule + " case"; }

std::string dice_text(const QualitativeCase& shown, const std::string& title) {
  const auto found = shown.dice.find(title);
  return found == shown.dice.end() ? "" : fixed(found->second, 4);
}

Drawing panels_drawing(const QualitativeCase& shown, const std::string& name, const PanelTable& table,
                       const Theme& theme, const fs::path& folder) {
  std::vector<LegendEntry> entries;
  for (const Structure& structure : shown.structures)
    entries.push_back({spaced(structure.name), to_text(structure.colour), 0});
  Drawing drawing;
  drawing.figure.name = name;
  drawing.script = panels_script(name, table, entries, theme, folder);
  drawing.script.description = shown.hashes;
  return drawing;
}

std::vector<std::string> remarks_of(const QualitativeCase& shown, const std::vector<std::string>& titles) {
  std::vector<std::string> remarks;
  for (const std::string& title : titles) {
    const auto found = shown.dice.find(title);
    remarks.push_back(found == shown.dice.end() ? "" : fixed(found->second, 1) + " %");
  }
  return remarks;
}

std::vector<Drawing> qualitative_figures(const Section& section, const Theme& theme, const fs::path& folder) {
  const auto none = [&](const std::string& reason) {
    return std::vector{omitted(section.stem("slices"), "Slices and surfaces", reason)};
  };
  const Configuration* baseline = baseline_of(section);
  if (baseline == nullptr) return none("no run has finished");
  const fs::path& place = baseline->runs.front()->dataset_folder;
  if (place.empty()) return none("config.yaml of the baseline names no dataset_folder");
  if (!fs::exists(place)) return none("the dataset is not at " + place.string() + " any more");
  const std::vector<CaseChoice> choices = choices_of(*baseline);
  if (choices.empty()) return none("the baseline has no per_case entries");
  try {
    const Dataset dataset = open_dataset(place.string(), {});
    const std::size_t typical = choices.size() > 2 ? 1 : 0;  // the median, where there is one
    std::vector<Drawing> drawings;
    for (std::size_t i = 0; i < choices.size(); ++i)
      for (Drawing& drawing : drawings_of(section, dataset, choices[i], i == typical, theme, folder))
        drawings.push_back(std::move(drawing));
    return drawings;
  } catch (const UserError& failure) {
    return none(failure.what());
  }
}

}  // namespace m3d::reports
