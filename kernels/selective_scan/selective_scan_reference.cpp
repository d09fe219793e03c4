#include "kernels/selective_scan/selective_scan_reference.h"

#include <torch/torch.h>

#include <vector>

namespace m3d {

std::tuple<at::Tensor, at::Tensor> selective_scan_reference(const at::Tensor& u, const at::Tensor& delta,
                                                            const at::Tensor& A, const at::Tensor& B,
                                                            const at::Tensor& C, const std::optional<at::Tensor>& D,
                                                            const std::optional<at::Tensor>& z,
                                                            const std::optional<at::Tensor>& delta_bias,
                                                            bool delta_softplus) {
  at::Tensor dt = delta_bias ? delta + *delta_bias : delta;
  if (delta_softplus) dt = at::softplus(dt);
  const std::vector<at::Tensor> dts = dt.unbind(1), us = u.unbind(1), Bs = B.unbind(1), Cs = C.unbind(1);
  at::Tensor h = at::zeros({u.size(0), u.size(2), A.size(1)}, u.options());
  std::vector<at::Tensor> ys;
  for (std::size_t t = 0; t < us.size(); ++t) {
    h = at::exp(dts[t].unsqueeze(-1) * A) * h + (dts[t] * us[t]).unsqueeze(-1) * Bs[t].unsqueeze(1);  // [B, D, N]
    ys.push_back((h * Cs[t].unsqueeze(1)).sum(-1));
  }
  at::Tensor y = at::stack(ys, 1);
  if (D) y = y + *D * u;
  if (z) y = y * at::silu(*z);
  return {y, h};
}

}  // namespace m3d
