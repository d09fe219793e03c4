#pragma once
// nnU-Net v2's experiment planning: target spacing, patch, batch and U-Net from a dataset's fingerprint
// (nnunet_conventions.md §3; the ResEnc presets: Isensee et al., "nnU-Net Revisited", MICCAI 2024).
#include <optional>
#include <string>
#include <vector>

#include "datasets/planning/plans.h"

namespace m3d {

enum class Planner { plain, resenc, resenc_m, resenc_l, resenc_xl };

/// Names of --set data.plan: "plain", "resenc_m" …
std::vector<std::string> planner_names();
/// Empty for another name.
std::optional<Planner> planner_of(const std::string& name);
/// "nnUNetPlans", "nnUNetResEncUNetMPlans" …
std::string plans_name(Planner planner);

/// What planning needs to know beside the fingerprint.
struct PlanningFacts {
  std::string dataset_name;                // "Dataset218_AMOS2022_postChallenge_task1"
  std::vector<std::string> channel_names;  // they choose the normalisation
  std::int64_t label_count = 2;            // entries of dataset.json's labels: background and ignore are counted
  std::int64_t training_cases = 0;         // dataset.json's numTraining
  std::string image_reader = "SimpleITKIO";
};
PlanningFacts planning_facts(const Dataset& dataset);

/// Plans 2d, 3d_fullres and, where the patch covers less than a quarter of the median image, 3d_lowres with the
/// cascade. `fingerprint` needs spacings and shapes of all cases. Throws UserError for a fingerprint without cases.
Plans plan_experiment(const PlanningFacts& facts, const Fingerprint& fingerprint, Planner planner,
                      std::optional<double> gpu_memory_gb = {});

/// nnU-Net's measure of a U-Net's memory: elements of all convolutions' outputs for one patch.
std::int64_t feature_map_elements(const Json& architecture, const std::vector<std::int64_t>& patch,
                                  std::int64_t label_count);

}  // namespace m3d
