#pragma once
#include <string>
#include <vector>

#include "architectures/registry.h"

namespace m3d {

/// All options of an architecture from `--set` assignments. Throws UserError for anything that is none of its options.
Json model_options(const Architecture& architecture, const std::vector<std::string>& assignments);

}  // namespace m3d
