#pragma once
// How wide a network is, as one number: for reduced forms, and for controls that meet another network's budget.
#include <cstdint>
#include <string>

#include "architectures/registry.h"

namespace m3d {

/// Resolved options with every width of the architecture (Architecture::widths) multiplied by `factor`, rounded to its
/// multiple and at least one multiple wide. Options in `kept` stay as they are.
Json scaled_widths(const Architecture& architecture, const Json& options, double factor, const Json& kept);

enum class Budget { parameters, macs };

struct WidthMatch {
  Json options;              // resolved, with the widths found
  std::int64_t reached = 0;  // what they cost
};

/// Finds widths with which `architecture` costs `target` (parameters, or MACs at the input's patch) within 2 %: one
/// factor for all widths by bisection, then single widths by steps of their multiples. Throws UserError where there
/// are none, naming the nearest.
WidthMatch match_width(const Architecture& architecture, const Json& options, const NetworkInput& input, Budget budget,
                       std::int64_t target);

}  // namespace m3d
