#pragma once
// The selective state-space scan of Mamba (Gu & Dao, arXiv:2312.00752, Algorithm 2), tokens channels-last.
#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace m3d {

/// For every batch b, channel d and state n, with h[-1] = 0 and dt = delta + delta_bias (softplus of it if asked;
/// identity above 20):
///
///     h[t] = exp(dt[t] A) h[t-1] + dt[t] B[t] u[t]        y[t] = (sum_n C[t] h[t] + D u[t]) * silu(z[t])
///
/// so the input matrix is delta * B, not the zero-order hold that some papers print.
///
/// u, delta, z: [B, L, D]; A: [D, N], real, not positive; B, C: [B, L, N]; D, delta_bias: [D]. Returns y [B, L, D].
/// All tensors have one dtype (float32 or float64) and one device; any strides. Memory is linear in L, forward and
/// backward; results have the same bits whatever the number of threads. Throws c10::Error naming the wrong argument.
/// Differentiable once in every tensor. The dispatcher sees the call as m3d::selective_scan, on meta tensors too.
at::Tensor selective_scan(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                          const at::Tensor& C, const std::optional<at::Tensor>& D = std::nullopt,
                          const std::optional<at::Tensor>& z = std::nullopt,
                          const std::optional<at::Tensor>& delta_bias = std::nullopt, bool delta_softplus = false);

/// The same, with the state after the last token: (y [B, L, D], h[L-1] [B, D, N]), both differentiable.
/// The dispatcher sees m3d::selective_scan_with_state.
std::tuple<at::Tensor, at::Tensor> selective_scan_with_state(
    const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B, const at::Tensor& C,
    const std::optional<at::Tensor>& D = std::nullopt, const std::optional<at::Tensor>& z = std::nullopt,
    const std::optional<at::Tensor>& delta_bias = std::nullopt, bool delta_softplus = false);

}  // namespace m3d
