#include "suite/train/device.h"

#include <ATen/autocast_mode.h>
#ifdef M3D_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#endif

#include <fstream>

#include "common/error.h"

namespace m3d {

void require_device_and_precision(const std::string& device, const std::string& precision) {
  if (device != "cpu" && device != "cuda") throw UserError("--device " + device + ": expected cpu or cuda");
  if (precision != "fp32" && precision != "bf16" && precision != "fp16")
    throw UserError("--precision " + precision + ": expected fp32, bf16 or fp16");
#ifndef M3D_CUDA
  if (device == "cuda")
    throw UserError(
        "--device cuda: this program was built for the CPU only; build it with scripts/build --cuda, or use "
        "--device cpu");
#else
  if (device == "cuda" && !torch::cuda::is_available())
    throw UserError("--device cuda: no CUDA device can be used on this machine; use --device cpu");
#endif
  if (precision == "fp16")
    throw UserError(
        "--precision fp16: training in fp16 needs a scaled loss, which this version does not have; use bf16, "
        "which needs none");
}

torch::Device torch_device(const std::string& device) { return {device == "cuda" ? torch::kCUDA : torch::kCPU}; }

std::string cpu_name() {
  std::ifstream information("/proc/cpuinfo");
  for (std::string line; std::getline(information, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.find(": ") + 2, line.size()));
  return "unknown CPU";
}

std::string device_name([[maybe_unused]] const std::string& device) {
#ifdef M3D_CUDA
  if (device == "cuda") {
    cudaDeviceProp properties;
    C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, c10::cuda::current_device()));
    return properties.name;
  }
#endif
  return cpu_name();
}

AutocastScope::AutocastScope(const std::string& device, const std::string& precision)
    : type_(torch_device(device).type()), active_(precision != "fp32") {
  if (!active_) return;
  at::autocast::set_autocast_dtype(type_, precision == "bf16" ? torch::kBFloat16 : torch::kHalf);
  at::autocast::set_autocast_enabled(type_, true);
}

AutocastScope::~AutocastScope() {
  if (!active_) return;
  at::autocast::set_autocast_enabled(type_, false);
  at::autocast::clear_cache();
}

}  // namespace m3d
