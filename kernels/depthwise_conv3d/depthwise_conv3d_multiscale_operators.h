#pragma once
// The operators behind the public one: what a device implements. Schemas in depthwise_conv3d_multiscale.cpp.
#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>
#include <vector>

namespace m3d::depthwise_conv3d_multiscale_operators {

using OptionalTensor = std::optional<at::Tensor>;
using OptionalTensors = c10::List<OptionalTensor>;

inline constexpr std::int64_t kMaxScales = 8;

/// y [B, S, D, H, W, C], and SiLU's argument where there is a SiLU and `keep_before_silu`, else empty.
using ForwardResult = std::tuple<at::Tensor, at::Tensor>;
ForwardResult forward(const at::Tensor& x, at::TensorList weights, const OptionalTensors& biases, bool silu,
                      bool keep_before_silu);

/// Gradients of x, of each weight, of each bias, all of them computed. before_silu: absent where there is no SiLU.
using BackwardResult = std::tuple<at::Tensor, std::vector<at::Tensor>, std::vector<at::Tensor>>;
BackwardResult backward(const at::Tensor& grad_y, const at::Tensor& x, at::TensorList weights,
                        const OptionalTensor& before_silu);

}  // namespace m3d::depthwise_conv3d_multiscale_operators
