#include "common/version.h"

#include "m3d_commit.h"  // written by cmake/WriteCommit.cmake at every build

namespace m3d {

std::string program_version() { return M3D_VERSION; }
std::string git_commit() { return M3D_GIT_COMMIT; }

}  // namespace m3d
