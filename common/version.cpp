#include "common/version.h"

#include "m3d_commit.h"  // written by cmake/WriteCommit.cmake at every build

namespace m3d {

std::string program_version() { return M3D_VERSION; }
std::string git_commit() { return M3D_GIT_COMMIT; }

std::string compiler_name() {
#ifdef __clang__
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

}  // namespace m3d
