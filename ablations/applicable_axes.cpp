// What an axis needs of an architecture: apart from axis.cpp, which is read without LibTorch.
#include <algorithm>

#include "ablations/axis.h"
#include "architectures/registry.h"

namespace m3d {

bool Axis::applies_to(const Architecture& architecture) const {
  const auto matches = [&](const std::string& pattern) { return matches_pattern(pattern, architecture.name); };
  if (std::none_of(architectures.begin(), architectures.end(), matches)) return false;
  for (const auto& value : values)
    for (const auto& [name, placed] : value.set)
      if (name.starts_with("model.") && !architecture.options.has(name.substr(6))) return false;
  return true;
}

}  // namespace m3d
