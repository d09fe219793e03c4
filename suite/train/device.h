#pragma once
// Device and precision of a run.
#include <torch/torch.h>

#include <string>

namespace m3d {

/// Throws UserError where this build or machine has no such device, or the device cannot compute in that precision.
void require_device_and_precision(const std::string& device, const std::string& precision);

torch::Device torch_device(const std::string& device);

/// Lets eligible operators compute in bf16 or fp16 while it lives; nothing for fp32.
class AutocastScope {
 public:
  AutocastScope(const std::string& device, const std::string& precision);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  torch::DeviceType type_;
  bool active_;
};

}  // namespace m3d
