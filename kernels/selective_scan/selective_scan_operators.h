#pragma once
// The operators behind the public ones: what a device implements. Schemas in selective_scan.cpp.
// u, delta, B, C, z have one dtype (float32, float64, bfloat16, float16); A, D, delta_bias, initial_state and the states
// that are returned have its accumulation dtype (accumulation_dtype in checks.h). `orders` is contiguous, each row a
// permutation, and absent where there is one pass in natural order.
#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace m3d::selective_scan_operators {

using OptionalTensor = std::optional<at::Tensor>;

/// y [B, L, D] in u's dtype, last_state [B, D, N], and what the backward needs of the states: a tensor that only this
/// device's backward understands, empty unless `keep_states`.
using ForwardResult = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
ForwardResult forward(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                      const at::Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                      const OptionalTensor& delta_bias, bool delta_softplus, const OptionalTensor& initial_state,
                      const OptionalTensor& orders, bool keep_states);

/// Gradients of u, delta, A, B, C, D, z, delta_bias, initial_state, all of them computed; that of an absent z is empty.
/// grad_last_state may be absent. Each has the dtype of what it is the gradient of.
using BackwardResult = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor,
                                  at::Tensor, at::Tensor>;
BackwardResult backward(const at::Tensor& grad_y, const OptionalTensor& grad_last_state, const at::Tensor& u,
                        const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B, const at::Tensor& C,
                        const OptionalTensor& D, const OptionalTensor& z, const OptionalTensor& delta_bias,
                        bool delta_softplus, const OptionalTensor& initial_state, const OptionalTensor& orders,
                        const at::Tensor& kept_states);

}  // namespace m3d::selective_scan_operators
