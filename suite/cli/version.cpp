#include "common/version.h"

#include <itkVersion.h>
#include <torch/version.h>

#include "kernels/device_facts.h"
#include "suite/cli/command.h"

namespace m3d {

std::string version_text() {
  const std::string cuda = cuda_version();
  return "m3d-bench " + program_version() + " (commit " + git_commit() + ")\nLibTorch " TORCH_VERSION "\nITK " +
         itk::Version::GetITKVersion() + (cuda.empty() ? "" : "\nCUDA " + cuda) + "\ncompiler " __VERSION__;
}

}  // namespace m3d
