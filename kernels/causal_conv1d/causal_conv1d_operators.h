#pragma once
// The operators behind the public one: what a device implements. Schemas in causal_conv1d.cpp.
#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace m3d::causal_conv1d_operators {

using OptionalTensor = std::optional<at::Tensor>;

at::Tensor forward(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool silu);

/// Gradients of x, weight, bias, all of them computed.
using BackwardResult = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
BackwardResult backward(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                        const OptionalTensor& bias, bool silu);

}  // namespace m3d::causal_conv1d_operators
