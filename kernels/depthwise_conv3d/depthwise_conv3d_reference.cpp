#include "kernels/depthwise_conv3d/depthwise_conv3d_reference.h"

#include <torch/torch.h>

namespace m3d {

at::Tensor depthwise_conv3d_reference(const at::Tensor& x, const at::Tensor& weight,
                                      const std::optional<at::Tensor>& bias, bool silu) {
  const std::int64_t kd = weight.size(2), kh = weight.size(3), kw = weight.size(4);
  const at::Tensor padded = at::constant_pad_nd(x, {0, 0, kw / 2, kw / 2, kh / 2, kh / 2, kd / 2, kd / 2});
  at::Tensor y = at::zeros_like(x);
  for (std::int64_t i = 0; i < kd; ++i)
    for (std::int64_t j = 0; j < kh; ++j)
      for (std::int64_t k = 0; k < kw; ++k)
        y = y + padded.narrow(1, i, x.size(1)).narrow(2, j, x.size(2)).narrow(3, k, x.size(3)) *
                    weight.select(4, k).select(3, j).select(2, i).select(1, 0);
  if (bias) y = y + *bias;
  return silu ? at::silu(y) : y;
}

}  // namespace m3d
