#include "common/resources.h"

#include <cstdlib>

#include "common/error.h"

namespace m3d {
namespace fs = std::filesystem;

fs::path data_folder() {
  if (const char* chosen = std::getenv("M3D_DATA")) return chosen;
  std::error_code failure;
  const fs::path program = fs::read_symlink("/proc/self/exe", failure);
  const fs::path installed = program.parent_path().parent_path() / M3D_INSTALLED_DATA;
  if (!failure && fs::is_directory(installed)) return installed;
  const fs::path source = M3D_SOURCE_DIR;
  if (fs::is_directory(source / "ablations")) return source;
  throw UserError("the data files of m3d-bench are neither in " + installed.string() + " nor in " + source.string() +
                  "; set M3D_DATA to the folder that has ablations/ and datasets/");
}

fs::path reference_folder() {
  if (const char* chosen = std::getenv("M3D_REFERENCE")) return chosen;
  const fs::path beside = fs::path(M3D_SOURCE_DIR).parent_path() / "shared" / "reference";
  return fs::is_directory(beside) ? beside : fs::path();
}

}  // namespace m3d
