#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

namespace m3d {

/// causal_conv1d as a sum of shifted copies in ATen operators; autograd follows. For tests and for reading.
at::Tensor causal_conv1d_reference(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                                   bool silu);

}  // namespace m3d
