#pragma once
// The operators behind the public ones: what a device implements. Schemas in depthwise_conv3d.cpp. One kernel and
// several are the same operator, so that a device has one form to write.
#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>
#include <vector>

namespace m3d::depthwise_conv3d_operators {

using OptionalTensor = std::optional<at::Tensor>;
using OptionalTensors = c10::List<OptionalTensor>;

/// y [B, S, D, H, W, C] for S weights, and SiLU's argument where there is a SiLU and `keep_before_silu`, else empty.
using ForwardResult = std::tuple<at::Tensor, at::Tensor>;
ForwardResult forward(const at::Tensor& x, at::TensorList weights, const OptionalTensors& biases, bool silu,
                      bool keep_before_silu);

/// Gradients of x, weights, biases, all of them computed. before_silu: absent where there is no SiLU.
using BackwardResult = std::tuple<at::Tensor, std::vector<at::Tensor>, std::vector<at::Tensor>>;
BackwardResult backward(const at::Tensor& grad_y, const at::Tensor& x, at::TensorList weights,
                        const OptionalTensor& before_silu);

}  // namespace m3d::depthwise_conv3d_operators
