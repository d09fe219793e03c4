#include "suite/run/planned_inputs.h"

#include "suite/train/settings.h"
#include "suite/train/targets.h"

namespace m3d {

NetworkRequest PlannedInputs::of(const RunConfig& config) {
  const DataSettings settings = read_settings(config.settings).data;
  const bool needs_cases = settings.patch.empty();
  const Dataset dataset = with_first_classes(dataset_of(config.dataset, needs_cases), settings.max_classes);
  std::vector<std::string> ids;
  if (needs_cases) ids = first_ids(split_of(dataset, config.fold, settings.split).training, settings.max_cases);
  return network_request(config, settings, dataset, ids, plans_.get(settings, dataset));
}

const Dataset& PlannedInputs::dataset_of(const std::string& name, bool needs_cases) {
  const auto found = datasets_.find(name);
  if (found != datasets_.end() && !(needs_cases && found->second.training.empty())) return found->second;
  Dataset dataset = describe_dataset(name, roots_);
  if (!dataset.embedded || (needs_cases && dataset.training.empty())) dataset = open_dataset(name, roots_);
  return datasets_.insert_or_assign(name, std::move(dataset)).first->second;
}

std::string network_key(const RunConfig& config, const NetworkRequest& request) {
  return config.architecture + request.model.dump() + Json(request.input.patch).dump() +
         std::to_string(request.input.channels) + "/" + std::to_string(request.input.classes);
}

}  // namespace m3d
