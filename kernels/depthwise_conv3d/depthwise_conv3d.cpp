#include "kernels/depthwise_conv3d/depthwise_conv3d.h"

#include <torch/library.h>

#include "kernels/depthwise_conv3d/depthwise_conv3d_operators.h"

namespace m3d {
namespace depthwise_conv3d_operators {

ForwardResult forward(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool silu,
                      bool keep_before_silu) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::depthwise_conv3d_forward", "").typed<decltype(forward)>();
  return op.call(x, weight, bias, silu, keep_before_silu);
}

BackwardResult backward(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                        const OptionalTensor& before_silu) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::depthwise_conv3d_backward", "").typed<decltype(backward)>();
  return op.call(grad_y, x, weight, before_silu);
}

namespace {

ForwardResult forward_meta(const at::Tensor& x, const at::Tensor&, const OptionalTensor&, bool, bool) {
  return {at::empty(x.sizes(), x.options()), at::empty({0}, x.options())};
}

BackwardResult backward_meta(const at::Tensor&, const at::Tensor& x, const at::Tensor& weight, const OptionalTensor&) {
  return {at::empty(x.sizes(), x.options()), at::empty(weight.sizes(), x.options()),
          at::empty({x.size(-1)}, x.options())};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(m3d, m) {
  m.def("depthwise_conv3d(Tensor x, Tensor weight, Tensor? bias=None, bool silu=False) -> Tensor");
  m.def(
      "depthwise_conv3d_forward(Tensor x, Tensor weight, Tensor? bias, bool silu, bool keep_before_silu) -> (Tensor y, "
      "Tensor before_silu)");
  m.def(
      "depthwise_conv3d_backward(Tensor grad_y, Tensor x, Tensor weight, Tensor? before_silu) -> (Tensor grad_x, "
      "Tensor grad_weight, Tensor grad_bias)");
}

TORCH_LIBRARY_IMPL(m3d, Meta, m) {
  m.impl("depthwise_conv3d_forward", forward_meta);
  m.impl("depthwise_conv3d_backward", backward_meta);
}

}  // namespace depthwise_conv3d_operators

at::Tensor depthwise_conv3d(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                            bool silu) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::depthwise_conv3d", "").typed<decltype(depthwise_conv3d)>();
  return op.call(x, weight, bias, silu);
}

}  // namespace m3d
