#include "suite/run/run_plan.h"

#include <algorithm>

#include "common/error.h"
#include "datasets/planning/dataset_plan.h"
#include "datasets/planning/topology.h"

namespace m3d {
namespace {

Plans plans_of(const DataSettings& settings, const Dataset& dataset, RunPlans::Purpose purpose) {
  const auto planner = planner_of(settings.plan);
  if (!planner) return Plans::read(settings.plan);
  const std::filesystem::path folder = preprocessed_folder(dataset);
  if (purpose == RunPlans::Purpose::estimate && !exists(plans_file(folder, *planner)))
    return plans_of_headers(dataset, *planner);
  return dataset_plans(dataset, *planner, folder);
}

void require_usable(const RunPlan& plan, const Dataset& dataset) {
  const PlanConfiguration& configuration = plan.configuration;
  const auto refuse = [&](const std::string& why) {
    throw UserError("setting data.configuration: '" + configuration.name + "' of " + plan.plans.where() + " " + why);
  };
  for (const std::string& next : configuration.next_stages) plan.plans.configuration(next);
  if (configuration.normalisations.size() != dataset.channel_names.size())
    refuse("is for " + std::to_string(configuration.normalisations.size()) + " channels; '" + dataset.name + "' has " +
           std::to_string(dataset.channel_names.size()));
}

bool is_left_open(const Json& model) {
  return model.at("strides").empty() && model.at("kernel_sizes").empty() && model.at("n_stages") == 0;
}

}  // namespace

RunPlan::RunPlan(Plans of_dataset, const std::string& name)
    : plans(std::move(of_dataset)), configuration(plans.configuration(name)) {}

Shape3 RunPlan::patch() const {
  const std::vector<std::int64_t>& sizes = configuration.patch_size;
  return sizes.size() == 2 ? Shape3{1, sizes[0], sizes[1]} : Shape3{sizes[0], sizes[1], sizes[2]};
}

std::optional<RunPlan> RunPlans::get(const DataSettings& settings, const Dataset& dataset) {
  if (settings.plan == "none" || settings.plan == "auto") return {};  // auto: a run of before there were plans
  const std::string key = dataset.folder.string() + "\n" + settings.plan;
  auto found = known_.find(key);
  if (found == known_.end()) found = known_.emplace(key, plans_of(settings, dataset, purpose_)).first;
  const RunPlan plan(found->second, settings.configuration);
  require_usable(plan, dataset);
  return plan;
}

Json planned_model(const Architecture& architecture, const Json& model, const RunPlan& plan, const Shape3& patch) {
  for (const char* option : {"strides", "kernel_sizes", "n_stages", "conv_op"})
    if (!architecture.options.has(option)) return model;
  if (!is_left_open(model)) return model;
  const std::size_t axes = model.at("conv_op") == "Conv2d" ? 2 : plan.configuration.spacing.size();
  const std::vector<double>& spacing = plan.configuration.spacing;
  const NetworkTopology topology = network_topology({spacing.end() - static_cast<std::ptrdiff_t>(axes), spacing.end()},
                                                    {patch.end() - static_cast<std::ptrdiff_t>(axes), patch.end()});
  Json planned = model;
  planned["n_stages"] = topology.strides.size();
  planned["strides"] = topology.strides;
  planned["kernel_sizes"] = topology.kernels;
  return planned;
}

RunSettings with_plan(RunSettings settings, const RunPlan& plan) {
  if (settings.data.batch_size == 0) settings.data.batch_size = plan.configuration.batch_size;
  settings.train.batch_dice = settings.train.batch_dice || plan.configuration.batch_dice;
  return settings;
}

}  // namespace m3d
