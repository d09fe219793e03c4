#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace m3d {

/// selective_scan as its formula says it, one token after another in ATen operators; autograd follows. Also the state
/// after the last token of the last order. For tests and for reading: slow, and its backward keeps every state.
std::tuple<at::Tensor, at::Tensor> selective_scan_reference(
    const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B, const at::Tensor& C,
    const std::optional<at::Tensor>& D, const std::optional<at::Tensor>& z, const std::optional<at::Tensor>& delta_bias,
    bool delta_softplus, const std::optional<at::Tensor>& initial_state = std::nullopt,
    const std::optional<at::Tensor>& orders = std::nullopt);

}  // namespace m3d
