#pragma once
// RunConfig.settings, read once into typed values. Names, defaults and bounds are those of ablations'
// settings_schema().
#include <cstdint>
#include <string>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d {

struct DataSettings {
  std::vector<std::int64_t> patch;  // [D, H, W] in voxels; empty: the plan's, or derived from the dataset
  std::string plan = "none";        // nnU-Net's planner by name, or a plans file
  std::string configuration = "3d_fullres";
  std::vector<std::string> previous_stage;  // of a cascade: folders of the first stage's runs or segmentations
  std::int64_t batch_size = 2;              // 0: the plan's
  double foreground_fraction = 0.33;
  double validation_foreground_fraction = 0.33;
  bool mirror = true;
  std::string split;                  // name of the folds; empty: the dataset's standard
  std::string augmentation = "none";  // or "nnunet", "nnunet_v1" (datasets/sampling/augmentation.h)
  std::int64_t workers = 1;
  std::int64_t max_classes = 0;  // 0: all
  std::int64_t max_cases = 0;
  std::int64_t max_validation_cases = 0;
};

struct TrainSettings {
  std::int64_t epochs = 1;
  std::int64_t iterations_per_epoch = 1;
  std::int64_t validation_iterations = 0;
  std::int64_t validation_every_epochs = 1;
  std::int64_t checkpoint_every_steps = 0;  // 0: at the ends of epochs only
  double memory_limit_gib = 0;              // 0: what is free
  double gradient_clip = 0;                 // 0: none
  bool deep_supervision = true;
  bool batch_dice = false;
  double dice_weight = 1;
  double cross_entropy_weight = 1;
  std::string initial_weights;       // file; empty: none
  std::string initial_weights_hash;  // content_hash of it
  std::int64_t total_steps() const { return epochs * iterations_per_epoch; }
};

struct InferSettings {
  double overlap = 0.5;
  bool mirror = false;
  std::vector<int> mirror_axes{0, 1, 2};  // of [D, H, W]; used where mirror is true
  double memory_limit_gib = 0;            // for a case's logits; 0: half of what is free
  bool gaussian = true;
  std::string checkpoint = "final";  // or "best"
};

struct ProfileSettings {
  bool enabled = true;
  std::int64_t warmup = 1;
  std::int64_t repeats = 3;
};

struct RunSettings {
  DataSettings data;
  TrainSettings train;
  InferSettings infer;
  ProfileSettings profile;
};

/// `settings` is {"data": {...}, "train": {...}, "infer": {...}, "profile": {...}}. Null and absent keys keep the
/// defaults above. Throws UserError for values that contradict each other.
RunSettings read_settings(const Json& settings);

}  // namespace m3d
