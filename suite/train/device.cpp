#include "suite/train/device.h"

#include <ATen/autocast_mode.h>

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
}

torch::Device torch_device(const std::string& device) { return {device == "cuda" ? torch::kCUDA : torch::kCPU}; }

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
