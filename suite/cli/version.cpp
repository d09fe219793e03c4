#include "common/version.h"

#include <itkVersion.h>
#include <torch/version.h>

#include "suite/cli/command.h"

namespace m3d {

std::string version_text() {
  return "m3d-bench " + program_version() + " (commit " + git_commit() + ")\nLibTorch " TORCH_VERSION "\nITK " +
         itk::Version::GetITKVersion() + "\ncompiler " __VERSION__;
}

}  // namespace m3d
