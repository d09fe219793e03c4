#include "ablations/plan_choice.h"

#include <algorithm>
#include <filesystem>

#include "common/error.h"
#include "common/nearest_name.h"
#include "datasets/planning/planner.h"

namespace m3d {
namespace {

constexpr std::int64_t kUsualBatchSize = 2;

/// The text that `key` will have; the setting's default where nothing gives it.
std::string text_of(const char* key, const Overrides& base, const Overrides& set, const char* otherwise) {
  for (const Overrides* overrides : {&set, &base})
    if (const auto found = overrides->find(key); found != overrides->end() && found->second.value.is_string())
      return found->second.value.get<std::string>();
  return otherwise;
}

/// So that a run means the same wherever it is gone on with.
std::string absolute_path(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

}  // namespace

bool is_plans_file(const std::string& plan) { return plan.ends_with(".json"); }

std::string resolved_plan(const std::string& plan, bool embedded, const std::string& where) {
  if (plan == "auto") return embedded ? "none" : "plain";
  std::vector<std::string> known = planner_names();
  known.insert(known.begin(), {"auto", "none"});
  if (!is_plans_file(plan) && std::find(known.begin(), known.end(), plan) == known.end())
    throw UserError(where + ": " + unknown_name_message("plan", plan, known) + ", or a .json file");
  return plan;
}

void choose_plan(Json& data, bool embedded) {
  const std::string plan = resolved_plan(data.at("plan"), embedded, "setting data.plan");
  data["plan"] = is_plans_file(plan) ? absolute_path(plan) : plan;
  for (Json& folder : data["previous_stage"]) folder = absolute_path(folder.get<std::string>());
  if (plan == "none" && data["batch_size"] == 0) data["batch_size"] = kUsualBatchSize;
}

Overrides plan_file_options(const Overrides& base, const Overrides& set, const Architecture& architecture) {
  const std::string file = text_of("data.plan", base, set, "auto");
  const bool plain = architecture.name == "nnunet_plain";
  if (!is_plans_file(file) || (!plain && architecture.name != "nnunet_resenc")) return {};
  const Plans plans = Plans::read(file);
  const PlanConfiguration plan = plans.configuration(text_of("data.configuration", base, set, "3d_fullres"));
  if (!plan.network_class.ends_with(plain ? ".PlainConvUNet" : ".ResidualEncoderUNet")) return {};
  Overrides options;
  for (const char* key : {"n_stages", "features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage",
                          "n_blocks_per_stage", "n_conv_per_stage_decoder"})
    if (plan.network_arguments.contains(key))
      options[std::string("model.") + key] = {plan.network_arguments.at(key), plans.where()};
  return options;
}

}  // namespace m3d
