#pragma once
// The plan that a run goes by (setting data.plan).
#include <map>
#include <optional>
#include <string>

#include "architectures/registry.h"
#include "datasets/catalogue/dataset.h"
#include "datasets/planning/plans.h"
#include "suite/train/settings.h"

namespace m3d {

struct RunPlan {
  RunPlan(Plans plans, const std::string& configuration);

  Plans plans;
  PlanConfiguration configuration;
  /// [D, H, W]; a 2D configuration's has one slice.
  Shape3 patch() const;
};

/// Plans by dataset and name, each made once.
class RunPlans {
 public:
  /// For estimates a plan that would have to be made is made from the headers of the cases alone, and nothing is
  /// written.
  enum class Purpose { run, estimate };
  explicit RunPlans(Purpose purpose) : purpose_(purpose) {}

  /// Empty for data.plan "none". Throws UserError for a plans file that cannot be read, one for another number of
  /// channels and one whose next stages are not in it.
  std::optional<RunPlan> get(const DataSettings& settings, const Dataset& dataset);

 private:
  Purpose purpose_;
  std::map<std::string, Plans> known_;
};

/// `model` with stages, strides and kernels by nnU-Net's rule for the plan's spacing and this patch, where the network
/// is one that nnU-Net plans and the options leave them open; else as it is.
Json planned_model(const Architecture& architecture, const Json& model, const RunPlan& plan, const Shape3& patch);

/// The settings with what they leave to the plan: batch size, and Dice over the batch.
RunSettings with_plan(RunSettings settings, const RunPlan& plan);

}  // namespace m3d
