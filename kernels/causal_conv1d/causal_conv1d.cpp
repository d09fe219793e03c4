#include "kernels/causal_conv1d/causal_conv1d.h"

#include <torch/library.h>

#include "kernels/causal_conv1d/causal_conv1d_operators.h"

namespace m3d {
namespace causal_conv1d_operators {

at::Tensor forward(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool silu) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::causal_conv1d_forward", "").typed<decltype(forward)>();
  return op.call(x, weight, bias, silu);
}

BackwardResult backward(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                        const OptionalTensor& bias, bool silu) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::causal_conv1d_backward", "").typed<decltype(backward)>();
  return op.call(grad_y, x, weight, bias, silu);
}

namespace {

at::Tensor forward_meta(const at::Tensor& x, const at::Tensor&, const OptionalTensor&, bool) {
  return at::empty(x.sizes(), x.options());
}

BackwardResult backward_meta(const at::Tensor&, const at::Tensor& x, const at::Tensor& weight, const OptionalTensor&,
                             bool) {
  return {at::empty(x.sizes(), x.options()), at::empty(weight.sizes(), weight.options()),
          at::empty({x.size(-1)}, weight.options())};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(m3d, m) {
  m.def("causal_conv1d(Tensor x, Tensor weight, Tensor? bias=None, bool silu=False) -> Tensor");
  m.def("causal_conv1d_forward(Tensor x, Tensor weight, Tensor? bias, bool silu) -> Tensor");
  m.def(
      "causal_conv1d_backward(Tensor grad_y, Tensor x, Tensor weight, Tensor? bias, bool silu) -> (Tensor grad_x, "
      "Tensor grad_weight, Tensor grad_bias)");
}

TORCH_LIBRARY_IMPL(m3d, Meta, m) {
  m.impl("causal_conv1d_forward", forward_meta);
  m.impl("causal_conv1d_backward", backward_meta);
}

}  // namespace causal_conv1d_operators

at::Tensor causal_conv1d(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                         bool silu) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::causal_conv1d", "").typed<decltype(causal_conv1d)>();
  return op.call(x, weight, bias, silu);
}

}  // namespace m3d
