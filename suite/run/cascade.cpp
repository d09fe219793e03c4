#include "suite/run/cascade.h"

#include <algorithm>
#include <set>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/hash.h"
#include "datasets/preprocessing/planned_preprocessing.h"
#include "datasets/sampling/cascade_augmentation.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPredictions = "predicted_next_stage";
constexpr const char* kEnding = ".b2nd";

std::vector<int> foreground_labels(const Dataset& dataset) {
  std::set<int> labels;
  for (const LabelClass& one : dataset.classes) labels.insert(one.values.begin(), one.values.end());
  labels.erase(0);
  return {labels.begin(), labels.end()};
}

/// Folders that may hold segmentations for `configuration`: the given one, a run's, those of the runs within.
std::vector<fs::path> candidates(const fs::path& given, const std::string& configuration) {
  std::vector<fs::path> folders{given, given / kPredictions / configuration};
  for (const auto& entry : fs::directory_iterator(given))
    if (entry.is_directory()) folders.push_back(entry.path() / kPredictions / configuration);
  std::erase_if(folders, [](const fs::path& folder) { return !fs::is_directory(folder); });
  return folders;
}

std::string how_to_get_them(const std::string& configuration, const std::string& previous) {
  return configuration + " takes the segmentations of " + previous +
         " as input, of every case: run that first on all folds (--fold all --set data.configuration=" + previous +
         ") and then name the folder of its runs: --set data.previous_stage=DIR";
}

}  // namespace

std::vector<int> previous_labels(const Dataset& dataset, const std::optional<RunPlan>& plan) {
  return plan && !plan->configuration.previous_stage.empty() ? foreground_labels(dataset) : std::vector<int>();
}

std::int64_t input_channels(const Dataset& dataset, const std::optional<RunPlan>& plan) {
  return std::ssize(dataset.channel_names) + std::ssize(previous_labels(dataset, plan));
}

void append_masks(PreparedCase& prepared, std::span<const std::int16_t> segmentation, const std::vector<int>& labels) {
  const std::vector<std::uint8_t> masks = one_hot(segmentation, labels);
  prepared.image.insert(prepared.image.end(), masks.begin(), masks.end());
  prepared.channels += std::ssize(labels);
}

PreviousStage::PreviousStage(const std::vector<std::string>& given, const PlanConfiguration& configuration)
    : configuration_(configuration.name), previous_(configuration.previous_stage) {
  if (given.empty())
    throw UserError("setting data.previous_stage is empty: " + how_to_get_them(configuration_, previous_));
  for (const fs::path folder : given) {
    if (!fs::is_directory(folder))
      throw UserError("setting data.previous_stage: " + folder.string() + ": no such folder");
    const std::size_t before = files_.size();
    for (const fs::path& place : candidates(folder, configuration_))
      for (const auto& entry : fs::directory_iterator(place))
        if (entry.path().extension() == kEnding) add(entry.path());
    if (files_.size() == before)
      throw UserError("setting data.previous_stage: " + folder.string() + " holds no segmentations (" + kPredictions +
                      "/" + configuration_ + "/<case>" + kEnding + "): " + how_to_get_them(configuration_, previous_));
  }
}

void PreviousStage::add(const fs::path& file) {
  const auto [entry, is_new] = files_.try_emplace(file.stem().string(), file);
  if (!is_new)
    throw UserError("setting data.previous_stage: case '" + entry->first + "' is segmented twice, in " +
                    entry->second.string() + " and " + file.string() +
                    "; name those runs one by one whose segmentations are to be taken: "
                    "data.previous_stage=[RUN0,RUN1,…]");
}

const fs::path& PreviousStage::file(const std::string& id) const {
  const auto found = files_.find(id);
  if (found == files_.end())
    throw UserError("setting data.previous_stage: there is no segmentation of case '" + id + "'; " +
                    how_to_get_them(configuration_, previous_));
  return found->second;
}

std::string PreviousStage::hash(const std::vector<std::string>& ids) const {
  std::string contents;
  for (const std::string& id : ids) contents += id + " " + content_hash(read_file(file(id))) + "\n";
  return content_hash(contents);
}

NextStages::NextStages(const std::optional<RunPlan>& plan, const Dataset& dataset, fs::path run_folder)
    : plan_(plan), dataset_(dataset), run_folder_(std::move(run_folder)) {
  if (!plan) return;
  for (const std::string& name : plan->configuration.next_stages) stages_.push_back(plan->plans.configuration(name));
}

fs::path NextStages::file(const PlanConfiguration& stage, const std::string& id) const {
  return run_folder_ / kPredictions / stage.name / (id + kEnding);
}

bool NextStages::has_all(const std::string& id) const {
  return std::all_of(stages_.begin(), stages_.end(), [&](const auto& stage) { return fs::exists(file(stage, id)); });
}

std::vector<NextStageLabels> NextStages::grids(const PreparedCase& prepared) const {
  std::vector<NextStageLabels> grids;
  for (const PlanConfiguration& stage : stages_) {
    const PlannedGrid grid =
        planned_grid(plan_->plans, stage, prepared.original, prepared.planned.value().cropped_shape);
    grids.push_back({shape_at_spacing(grid.cropped_shape, grid.cropped_spacing_mm, grid.spacing_mm)});
  }
  return grids;
}

void NextStages::write(const std::string& id, const std::vector<NextStageLabels>& labels) const {
  const std::vector<int> known = foreground_labels(dataset_);
  for (std::size_t i = 0; i < stages_.size(); ++i)
    write_stage_segmentation(file(stages_[i], id), labels[i].labels, labels[i].shape, plan_->patch(),
                             known.empty() ? 0 : known.back());
}

}  // namespace m3d
