#pragma once
// The small form of a registered network, as the tests that hold for every network build it.
#include "architectures/registry.h"

namespace m3d::test {

inline Json reduced_options(const Architecture& architecture) {
  return architecture.options.resolve(architecture.reduced, [](const std::string& key) { return key; });
}

/// Two channels, three classes; the family's patch, else one step of the divisors along D and H, two along W.
inline NetworkInput reduced_input(const Architecture& architecture, const Json& options) {
  if (architecture.reduced_patch[0] > 0) return {2, 3, architecture.reduced_patch};
  const auto divisors = architecture.divisors(options);
  return {2, 3, {divisors[0], divisors[1], 2 * divisors[2]}};
}

}  // namespace m3d::test
