#pragma once
// The selective state-space scan of Mamba (Gu & Dao, arXiv:2312.00752, Algorithm 2), tokens channels-last.
#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace m3d {

/// For every batch b, channel d and state n, with h[-1] = initial_state (zeros if absent) and dt = delta + delta_bias
/// (softplus of it if asked; identity above 20):
///
///     h[t] = exp(dt[t] A) h[t-1] + dt[t] B[t] u[t]        y[t] = (sum_n C[t] h[t] + D u[t]) * silu(z[t])
///
/// so the input matrix is delta * B, not the zero-order hold that some papers print.
///
/// u, delta, z: [B, L, D]; A: [D, N], real, not positive; B, C: [B, L, N]; D, delta_bias: [D]; initial_state [B, D, N].
/// Returns y [B, L, D].
///
/// orders: [K, L] int32, each row a permutation of 0 … L - 1. The k-th of K scans visits the tokens orders[k][0],
/// orders[k][1], …, and its y of a token is added at the token's own place: y is the sum of K complete scans, each with
/// its own D u and gate. Absent: one scan in natural order. Nothing is copied into permuted order. An initial state
/// needs K = 1.
///
/// u, delta, z, B, C have one dtype: float32, float64, bfloat16 or float16; the others have it too or that of the
/// accumulation, which is float32 for 16-bit types. One device; any strides; any dimension may be 0. Memory is linear in
/// L, forward and backward; results have the same bits whatever the number of threads. Throws c10::Error naming the wrong
/// argument. Differentiable once in every tensor. The dispatcher sees the call as m3d::selective_scan, on meta tensors
/// too.
at::Tensor selective_scan(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                          const at::Tensor& C, const std::optional<at::Tensor>& D = std::nullopt,
                          const std::optional<at::Tensor>& z = std::nullopt,
                          const std::optional<at::Tensor>& delta_bias = std::nullopt, bool delta_softplus = false,
                          const std::optional<at::Tensor>& initial_state = std::nullopt,
                          const std::optional<at::Tensor>& orders = std::nullopt);

/// The same with K = 1, and the state after the last token visited: (y [B, L, D], h[L-1] [B, D, N] in the accumulation
/// dtype), both differentiable. The dispatcher sees m3d::selective_scan_with_state.
std::tuple<at::Tensor, at::Tensor> selective_scan_with_state(
    const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B, const at::Tensor& C,
    const std::optional<at::Tensor>& D = std::nullopt, const std::optional<at::Tensor>& z = std::nullopt,
    const std::optional<at::Tensor>& delta_bias = std::nullopt, bool delta_softplus = false,
    const std::optional<at::Tensor>& initial_state = std::nullopt,
    const std::optional<at::Tensor>& orders = std::nullopt);

}  // namespace m3d
