#include "kernels/causal_conv1d/causal_conv1d.h"

#include <torch/library.h>

#include "kernels/causal_conv1d/causal_conv1d_reference.h"

namespace m3d {
namespace {

at::Tensor composite(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias, bool silu) {
  if (x.is_meta()) return at::empty_like(x);
  return causal_conv1d_reference(x, weight, bias, silu);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(m3d, m) {
  m.def("causal_conv1d(Tensor x, Tensor weight, Tensor? bias=None, bool silu=False) -> Tensor", composite);
}

at::Tensor causal_conv1d(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                         bool silu) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::causal_conv1d", "").typed<decltype(causal_conv1d)>();
  return op.call(x, weight, bias, silu);
}

}  // namespace m3d
