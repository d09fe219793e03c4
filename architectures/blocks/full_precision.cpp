#include "architectures/blocks/full_precision.h"

#include <ATen/autocast_mode.h>

namespace m3d {

FullPrecision::FullPrecision(const torch::Device& device) : type_(device.type()) {
  was_on_ = (device.is_cpu() || device.is_cuda()) && at::autocast::is_autocast_enabled(type_);
  if (was_on_) at::autocast::set_autocast_enabled(type_, false);
}

FullPrecision::~FullPrecision() {
  if (was_on_) at::autocast::set_autocast_enabled(type_, true);
}

torch::Tensor FullPrecision::of(const torch::Tensor& x) {
  return x.scalar_type() == torch::kHalf || x.scalar_type() == torch::kBFloat16 ? x.to(torch::kFloat32) : x;
}

}  // namespace m3d
