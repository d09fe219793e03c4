#include "kernels/depthwise_conv3d/depthwise_conv3d.h"

#include <torch/library.h>

#include "kernels/depthwise_conv3d/depthwise_conv3d_operators.h"

namespace m3d {
namespace depthwise_conv3d_operators {

ForwardResult forward(const at::Tensor& x, at::TensorList weights, const OptionalTensors& biases, bool silu,
                      bool keep_before_silu) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::depthwise_conv3d_forward", "").typed<decltype(forward)>();
  return op.call(x, weights, biases, silu, keep_before_silu);
}

BackwardResult backward(const at::Tensor& grad_y, const at::Tensor& x, at::TensorList weights,
                        const OptionalTensor& before_silu) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::depthwise_conv3d_backward", "").typed<decltype(backward)>();
  return op.call(grad_y, x, weights, before_silu);
}

namespace {

ForwardResult forward_meta(const at::Tensor& x, at::TensorList weights, const OptionalTensors&, bool, bool) {
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes.insert(sizes.begin() + 1, static_cast<std::int64_t>(weights.size()));
  return {at::empty(sizes, x.options()), at::empty({0}, x.options())};
}

BackwardResult backward_meta(const at::Tensor&, const at::Tensor& x, at::TensorList weights, const OptionalTensor&) {
  std::vector<at::Tensor> grad_weights, grad_biases;
  for (const at::Tensor& weight : weights) {
    grad_weights.push_back(at::empty(weight.sizes(), weight.options()));
    grad_biases.push_back(at::empty({x.size(-1)}, weight.options()));
  }
  return {at::empty(x.sizes(), x.options()), grad_weights, grad_biases};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(m3d, m) {
  m.def("depthwise_conv3d(Tensor x, Tensor weight, Tensor? bias=None, bool silu=False) -> Tensor");
  m.def("depthwise_conv3d_multiscale(Tensor x, Tensor[] weights, Tensor?[] biases, bool silu=False) -> Tensor");
  m.def(
      "depthwise_conv3d_forward(Tensor x, Tensor[] weights, Tensor?[] biases, bool silu, bool keep_before_silu) -> "
      "(Tensor y, Tensor before_silu)");
  m.def(
      "depthwise_conv3d_backward(Tensor grad_y, Tensor x, Tensor[] weights, Tensor? before_silu) -> (Tensor grad_x, "
      "Tensor[] grad_weights, Tensor[] grad_biases)");
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

at::Tensor depthwise_conv3d_multiscale(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                                       const std::vector<std::optional<at::Tensor>>& biases, bool silu) {
  using Signature = at::Tensor(const at::Tensor&, at::TensorList, const c10::List<std::optional<at::Tensor>>&, bool);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::depthwise_conv3d_multiscale", "").typed<Signature>();
  return op.call(x, weights, c10::List<std::optional<at::Tensor>>(biases), silu);
}

}  // namespace m3d
