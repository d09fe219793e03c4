#pragma once
// Cascades: a first stage leaves its segmentations on the grid of the next (nnU-Net's predicted_next_stage), which
// takes them as further input channels, a mask for each foreground label. Source: nnU-Net 2.8.1, nnUNetTrainer
// (perform_actual_validation) and utilities/label_handling (determine_num_input_channels).
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "datasets/storage/stage_segmentation.h"
#include "suite/infer/next_stage.h"
#include "suite/run/run_plan.h"

namespace m3d {

/// The labels whose masks the second stage of a cascade sees: all that occur in classes and regions, ascending. Empty
/// where the plan is not such a stage's.
std::vector<int> previous_labels(const Dataset& dataset, const std::optional<RunPlan>& plan);

/// Channels of a network's input: the images and those masks.
std::int64_t input_channels(const Dataset& dataset, const std::optional<RunPlan>& plan);

/// Appends the masks of a segmentation on the case's grid to its channels.
void append_masks(PreparedCase& prepared, std::span<const std::int16_t> segmentation, const std::vector<int>& labels);

/// The first stage's segmentations, where they lie.
class PreviousStage {
 public:
  /// `given` (setting data.previous_stage): first-stage runs, folders of such runs, or folders of <case>.b2nd
  /// (nnU-Net's …/predicted_next_stage/<configuration>). Throws UserError where nothing is given or found, and for two
  /// segmentations of one case.
  PreviousStage(const std::vector<std::string>& given, const PlanConfiguration& configuration);

  /// Throws UserError, naming the case, for one that no first stage segmented.
  const std::filesystem::path& file(const std::string& id) const;
  /// Of the segmentations' content.
  std::string hash(const std::vector<std::string>& ids) const;

 private:
  void add(const std::filesystem::path& file);

  std::string configuration_, previous_;
  std::map<std::string, std::filesystem::path> files_;  // by case
};

/// What a run leaves for the next stages of its plan: <run>/predicted_next_stage/<configuration>/<case>.b2nd.
class NextStages {
 public:
  NextStages(const std::optional<RunPlan>& plan, const Dataset& dataset, std::filesystem::path run_folder);

  bool has_all(const std::string& id) const;
  /// A grid for each stage, without labels yet.
  std::vector<NextStageLabels> grids(const PreparedCase& prepared) const;
  /// `labels` as grids() has them. Throws RunError when the disk is full.
  void write(const std::string& id, const std::vector<NextStageLabels>& labels) const;

 private:
  std::filesystem::path file(const PlanConfiguration& stage, const std::string& id) const;

  const std::optional<RunPlan>& plan_;
  const Dataset& dataset_;
  std::filesystem::path run_folder_;
  std::vector<PlanConfiguration> stages_;
};

}  // namespace m3d
