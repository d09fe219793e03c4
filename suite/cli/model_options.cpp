#include "suite/cli/model_options.h"

#include "ablations/expand.h"
#include "common/error.h"

namespace m3d {

Json model_options(const Architecture& architecture, const std::vector<std::string>& assignments) {
  const Overrides overrides = parse_assignments(assignments, "--set");
  for (const auto& [name, placed] : overrides)
    if (!name.starts_with("model."))
      throw UserError("--set " + name + ": only the architecture's options can be set here, as in scan=tri");
  require_known_options(overrides, {&architecture});
  return resolve_model(architecture, overrides);
}

}  // namespace m3d
