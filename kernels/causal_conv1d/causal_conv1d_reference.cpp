#include "kernels/causal_conv1d/causal_conv1d_reference.h"

#include <torch/torch.h>

namespace m3d {

at::Tensor causal_conv1d_reference(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                                   bool silu) {
  const std::int64_t width = weight.size(1);
  const at::Tensor padded = at::constant_pad_nd(x, {0, 0, width - 1, 0});
  at::Tensor y = at::zeros_like(x);
  for (std::int64_t k = 0; k < width; ++k) y = y + padded.narrow(1, k, x.size(1)) * weight.select(1, k);
  if (bias) y = y + *bias;
  return silu ? at::silu(y) : y;
}

}  // namespace m3d
