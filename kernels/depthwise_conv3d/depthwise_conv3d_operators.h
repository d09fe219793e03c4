#pragma once
// The operators behind the public one: what a device implements. Schemas in depthwise_conv3d.cpp.
#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace m3d::depthwise_conv3d_operators {

using OptionalTensor = std::optional<at::Tensor>;

/// y, and SiLU's argument where there is a SiLU and `keep_before_silu`, else empty.
using ForwardResult = std::tuple<at::Tensor, at::Tensor>;
ForwardResult forward(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool silu,
                      bool keep_before_silu);

/// Gradients of x, weight, bias, all of them computed. before_silu: absent where there is no SiLU.
using BackwardResult = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
BackwardResult backward(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                        const OptionalTensor& before_silu);

}  // namespace m3d::depthwise_conv3d_operators
