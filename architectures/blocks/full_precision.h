#pragma once
// Layers that originals keep out of mixed precision.
#include <torch/torch.h>

namespace m3d {

/// While one lives, autocast is off for the device's operators.
class FullPrecision {
 public:
  explicit FullPrecision(const torch::Device& device);
  ~FullPrecision();
  FullPrecision(const FullPrecision&) = delete;
  FullPrecision& operator=(const FullPrecision&) = delete;
  /// `x` in float32 if its type has 16 bits.
  static torch::Tensor of(const torch::Tensor& x);

 private:
  torch::DeviceType type_;
  bool was_on_;
};

}  // namespace m3d
