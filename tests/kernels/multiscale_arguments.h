#pragma once
// Arguments of multi-scale convolutions for the tests.
#include "kernels/depthwise_conv3d/depthwise_conv3d.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_reference.h"
#include "tests/kernels/gradcheck.h"

namespace m3d::test {

using Sizes = std::vector<std::int64_t>;

/// x, then the weights, then the biases of all scales but, if `leave_out`, the first.
struct Multiscale {
  Tensors tensors;
  std::size_t scales = 0;
  bool leave_out = false, silu = false;

  Multiscale(const Sizes& shape, const std::vector<Sizes>& kernels, bool with_silu, bool without_first_bias = false)
      : scales(kernels.size()), leave_out(without_first_bias), silu(with_silu) {
    const std::int64_t channels = shape[4];
    tensors = {fill("x", shape)};
    for (const Sizes& k : kernels)
      tensors.push_back(fill("weight" + std::to_string(tensors.size()), {channels, 1, k[0], k[1], k[2]}));
    for (std::size_t s = leave_out ? 1 : 0; s < scales; ++s)
      tensors.push_back(fill("bias" + std::to_string(s), {channels}));
  }
  Tensors weights(const Tensors& t) const {
    return {t.begin() + 1, t.begin() + 1 + static_cast<std::ptrdiff_t>(scales)};
  }
  std::vector<OptionalTensor> biases(const Tensors& t) const {
    std::vector<OptionalTensor> out(t.begin() + 1 + static_cast<std::ptrdiff_t>(scales), t.end());
    if (leave_out) out.insert(out.begin(), std::nullopt);
    return out;
  }
  at::Tensor call(const Tensors& t) const { return depthwise_conv3d_multiscale(t[0], weights(t), biases(t), silu); }
  at::Tensor reference(const Tensors& t) const {
    const Tensors w = weights(t);
    const std::vector<OptionalTensor> b = biases(t);
    Tensors out;
    for (std::size_t s = 0; s < scales; ++s) out.push_back(depthwise_conv3d_reference(t[0], w[s], b[s], silu));
    return torch::stack(out, 1);
  }
  /// y and the gradients of all tensors.
  template <class Function>
  static Tensors results(const Function& function, const Tensors& t) {
    at::Tensor y;
    Tensors out = gradients(
        [&](const Tensors& leaves) {
          y = function(leaves);
          return (y * fill("weights", y.sizes()).to(y.options())).sum();
        },
        t);
    out.insert(out.begin(), y.detach());
    return out;
  }
};

}  // namespace m3d::test
