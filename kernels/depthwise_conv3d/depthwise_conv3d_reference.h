#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

namespace m3d {

/// depthwise_conv3d as a sum of shifted copies in ATen operators; autograd follows. For tests and for reading.
at::Tensor depthwise_conv3d_reference(const at::Tensor& x, const at::Tensor& weight,
                                      const std::optional<at::Tensor>& bias, bool silu);

}  // namespace m3d
