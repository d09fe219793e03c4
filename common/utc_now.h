#pragma once
#include <string>

namespace m3d {

/// Now, as "2026-01-31T12:00:00Z".
std::string utc_now();

}  // namespace m3d
