#include "kernels/depthwise_conv3d/depthwise_conv3d_multiscale.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include "kernels/depthwise_conv3d/depthwise_conv3d_multiscale_operators.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_operators.h"

namespace m3d {
namespace depthwise_conv3d_multiscale_operators {

ForwardResult forward(const at::Tensor& x, at::TensorList weights, const OptionalTensors& biases, bool silu,
                      bool keep_before_silu) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("m3d::depthwise_conv3d_multiscale_forward", "")
                             .typed<decltype(forward)>();
  return op.call(x, weights, biases, silu, keep_before_silu);
}

BackwardResult backward(const at::Tensor& grad_y, const at::Tensor& x, at::TensorList weights,
                        const OptionalTensor& before_silu) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("m3d::depthwise_conv3d_multiscale_backward", "")
                             .typed<decltype(backward)>();
  return op.call(grad_y, x, weights, before_silu);
}

namespace {

namespace one_scale = depthwise_conv3d_operators;

/// On CPU the scales are computed one after another.
ForwardResult forward_cpu(const at::Tensor& x, at::TensorList weights, const OptionalTensors& biases, bool silu,
                          bool keep_before_silu) {
  std::vector<at::Tensor> y, before_silu;
  for (std::size_t s = 0; s < weights.size(); ++s) {
    const auto [out, before] = one_scale::forward(x, weights[s], biases[s], silu, keep_before_silu);
    y.push_back(out);
    before_silu.push_back(before);
  }
  const bool kept = silu && keep_before_silu;
  return {at::stack(y, 1), kept ? at::stack(before_silu, 1) : at::empty({0}, x.options())};
}

BackwardResult backward_cpu(const at::Tensor& grad_y, const at::Tensor& x, at::TensorList weights,
                            const OptionalTensor& before_silu) {
  at::Tensor grad_x = at::zeros(x.sizes(), x.options());
  std::vector<at::Tensor> grad_weights, grad_biases;
  for (std::size_t s = 0; s < weights.size(); ++s) {
    const auto scale = static_cast<std::int64_t>(s);
    const OptionalTensor before = before_silu ? OptionalTensor(before_silu->select(1, scale)) : std::nullopt;
    const auto [of_x, of_weight, of_bias] = one_scale::backward(grad_y.select(1, scale), x, weights[s], before);
    grad_x.add_(of_x);
    grad_weights.push_back(of_weight);
    grad_biases.push_back(of_bias);
  }
  return {grad_x, grad_weights, grad_biases};
}

ForwardResult forward_meta(const at::Tensor& x, at::TensorList weights, const OptionalTensors&, bool, bool) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.insert(shape.begin() + 1, static_cast<std::int64_t>(weights.size()));
  return {at::empty(shape, x.options()), at::empty({0}, x.options())};
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
  m.def("depthwise_conv3d_multiscale(Tensor x, Tensor[] weights, Tensor?[] biases, bool silu=False) -> Tensor");
  m.def(
      "depthwise_conv3d_multiscale_forward(Tensor x, Tensor[] weights, Tensor?[] biases, bool silu, "
      "bool keep_before_silu) -> (Tensor y, Tensor before_silu)");
  m.def(
      "depthwise_conv3d_multiscale_backward(Tensor grad_y, Tensor x, Tensor[] weights, Tensor? before_silu) -> "
      "(Tensor grad_x, Tensor[] grad_weights, Tensor[] grad_biases)");
}

TORCH_LIBRARY_IMPL(m3d, CPU, m) {
  m.impl("depthwise_conv3d_multiscale_forward", forward_cpu);
  m.impl("depthwise_conv3d_multiscale_backward", backward_cpu);
}

TORCH_LIBRARY_IMPL(m3d, Meta, m) {
  m.impl("depthwise_conv3d_multiscale_forward", forward_meta);
  m.impl("depthwise_conv3d_multiscale_backward", backward_meta);
}

}  // namespace depthwise_conv3d_multiscale_operators

at::Tensor depthwise_conv3d_multiscale(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                                       const std::vector<std::optional<at::Tensor>>& biases, bool silu) {
  using Function = at::Tensor(const at::Tensor&, at::TensorList,
                              const depthwise_conv3d_multiscale_operators::OptionalTensors&, bool);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::depthwise_conv3d_multiscale", "").typed<Function>();
  depthwise_conv3d_multiscale_operators::OptionalTensors list;
  for (const auto& bias : biases) list.push_back(bias);
  return op.call(x, weights, list, silu);
}

}  // namespace m3d
