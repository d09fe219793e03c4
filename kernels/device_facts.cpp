#include "kernels/device_facts.h"

#include <ATen/detail/CUDAHooksInterface.h>
#ifdef M3D_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#endif

#include <fstream>

namespace m3d {

std::string cpu_name() {
  std::ifstream information("/proc/cpuinfo");
  for (std::string line; std::getline(information, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.find(": ") + 2, line.size()));
  return "unknown CPU";
}

std::string device_name([[maybe_unused]] c10::Device device) {
#ifdef M3D_CUDA
  if (device.is_cuda()) {
    cudaDeviceProp properties;
    C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device.has_index() ? device.index() : c10::cuda::current_device()));
    return properties.name;
  }
#endif
  return cpu_name();
}

std::string cuda_version() {
  const auto& hooks = at::detail::getCUDAHooks();
  if (!hooks.hasCUDART()) return "";
  const long version = hooks.versionCUDART();  // 1000 * major + 10 * minor
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace m3d
