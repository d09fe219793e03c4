#pragma once
// From settings to the values that training and profiling are made of.
#include "suite/profile/profile.h"
#include "suite/run/run_data.h"
#include "suite/train/settings.h"
#include "suite/train/trainer.h"

namespace m3d {

/// Prepares the fold's cases. The recipe keeps what it needs of them.
TrainingRecipe training_recipe(const RunConfig& config, const RunSettings& settings, FoldData& data,
                               const Shape3& patch);

SpeedRequest speed_request(const RunConfig& config, const RunSettings& settings, const NetworkInput& input,
                           bool region_based);

}  // namespace m3d
