#pragma once
// With what a result was made.
#include <string>

#include "ablations/run_config.h"

namespace m3d {

/// The `provenance` object of record.json. What does not apply (cuda and gpu on a CPU) is null.
Json provenance_json(const RunConfig& config, const std::string& started, const std::string& finished,
                     const std::string& command);

}  // namespace m3d
