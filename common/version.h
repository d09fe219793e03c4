#pragma once
#include <string>

namespace m3d {

/// "0.1.0".
std::string program_version();
/// Twelve digits of the commit the program was built from, with "-dirty" when the sources had changes;
/// "unknown" when they were not in a repository.
std::string git_commit();
/// "GCC 12.2.0".
std::string compiler_name();

}  // namespace m3d
