#pragma once
#include <torch/types.h>

namespace m3d {

/// x / sqrt(mean(x² over the last axis) + eps) · weight. float32 and float64 on the CPU: one pass over x each way,
/// which the backward repeats instead of keeping anything but x and the weight; the same bits for any number of
/// threads.
torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double eps);

}  // namespace m3d
