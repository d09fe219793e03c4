#include "kernels/selective_scan/selective_scan_reference.h"

#include <torch/torch.h>

#include <vector>

namespace m3d {

std::tuple<at::Tensor, at::Tensor> selective_scan_reference(
    const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B, const at::Tensor& C,
    const std::optional<at::Tensor>& D, const std::optional<at::Tensor>& z, const std::optional<at::Tensor>& delta_bias,
    bool delta_softplus, const std::optional<at::Tensor>& initial_state, const std::optional<at::Tensor>& orders) {
  at::Tensor dt = delta_bias ? delta + *delta_bias : delta;
  if (delta_softplus) dt = at::softplus(dt);
  const std::vector<at::Tensor> dts = dt.unbind(1), us = u.unbind(1), Bs = B.unbind(1), Cs = C.unbind(1);
  const at::Tensor tables = orders ? orders->to(at::kLong) : at::arange(u.size(1)).unsqueeze(0);
  at::Tensor y = at::zeros_like(u), h;
  for (const at::Tensor& table : tables.unbind(0)) {
    h = initial_state ? *initial_state : at::zeros({u.size(0), u.size(2), A.size(1)}, u.options());
    std::vector<at::Tensor> ys(us.size());
    for (std::int64_t i = 0; i < table.numel(); ++i) {
      const auto t = static_cast<std::size_t>(table[i].item<std::int64_t>());
      h = at::exp(dts[t].unsqueeze(-1) * A) * h + (dts[t] * us[t]).unsqueeze(-1) * Bs[t].unsqueeze(1);  // [B, D, N]
      ys[t] = (h * Cs[t].unsqueeze(1)).sum(-1);
    }
    y = y + at::stack(ys, 1);
    if (D) y = y + *D * u;
  }
  if (z) y = y * at::silu(*z);
  return {y, h};
}

}  // namespace m3d
