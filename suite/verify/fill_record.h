#pragma once
// The values that reference records give to parameters and inputs: a function of the tensor's name.
#include <cstdint>
#include <string>
#include <vector>

namespace m3d {

/// Row-major values of a parameter or buffer, by the last component of its name (reference/README.md).
std::vector<double> filled_values(const std::string& name, const std::vector<std::int64_t>& shape);

}  // namespace m3d
