#pragma once
// JSON as Python's json module writes it. Internal to this room.
#include <string>

#include "common/strict_yaml.h"

namespace m3d {

/// The bytes of json.dump(value, indent=4, sort_keys=True): keys sorted, non-ASCII characters escaped, floating-point
/// numbers as repr() has them, NaN and infinities as the bare tokens NaN, Infinity and -Infinity, no newline at the
/// end.
std::string python_json_text(const Json& value);

}  // namespace m3d
