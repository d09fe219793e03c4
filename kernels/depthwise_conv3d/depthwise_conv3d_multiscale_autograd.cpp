// Autograd of the multi-scale convolution: decomposes into m3d::depthwise_conv3d_multiscale_forward on every device.
// Saved for the backward: x, the weights and SiLU's argument. All gradients are written anew. No second derivative.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/checks.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_multiscale_operators.h"

namespace m3d::depthwise_conv3d_multiscale_operators {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Multiscale : torch::autograd::Function<Multiscale> {
  /// parameters: the weights, then the biases; an absent bias is an undefined tensor.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, at::TensorList parameters, bool silu) {
    const std::size_t scales = parameters.size() / 2;
    const at::TensorList weights = parameters.slice(0, scales);
    OptionalTensors biases;
    for (const at::Tensor& bias : parameters.slice(scales))
      biases.push_back(bias.defined() ? OptionalTensor(bias) : std::nullopt);
    const auto [y, before_silu] = depthwise_conv3d_multiscale_operators::forward(x, weights, biases, silu, true);
    variable_list saved{x, silu ? before_silu : at::Tensor()};
    saved.insert(saved.end(), weights.begin(), weights.end());
    context->save_for_backward(saved);
    c10::List<bool> has_bias;
    for (std::size_t s = 0; s < scales; ++s) has_bias.push_back(parameters[scales + s].defined());
    context->saved_data["has_bias"] = has_bias;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "depthwise_conv3d_multiscale: has no second derivative (create_graph)");
    const variable_list saved = context->get_saved_variables();
    const OptionalTensor before_silu = saved[1].defined() ? OptionalTensor(saved[1]) : std::nullopt;
    const auto [grad_x, grad_weights, grad_biases] = depthwise_conv3d_multiscale_operators::backward(
        gradients[0], saved[0], at::TensorList(saved).slice(2), before_silu);
    const c10::List<bool> has_bias = context->saved_data["has_bias"].toBoolList();
    variable_list out{grad_x};
    out.insert(out.end(), grad_weights.begin(), grad_weights.end());
    for (std::size_t s = 0; s < grad_biases.size(); ++s) out.push_back(has_bias[s] ? grad_biases[s] : at::Tensor());
    out.emplace_back();
    return out;
  }
};

at::Tensor multiscale(const at::Tensor& x, at::TensorList weights, const OptionalTensors& biases, bool silu) {
  const ArgumentChecks checks("depthwise_conv3d_multiscale", "x", x, 5);
  TORCH_CHECK(!weights.empty() && static_cast<std::int64_t>(weights.size()) <= kMaxScales,
              "depthwise_conv3d_multiscale: weights must be 1 to ", kMaxScales, " tensors, are ", weights.size());
  TORCH_CHECK(biases.size() == weights.size(), "depthwise_conv3d_multiscale: biases must be as many as weights (",
              weights.size(), "), are ", biases.size());
  variable_list parameters(weights.begin(), weights.end());
  bool with_gradient = wants_gradient({x});
  for (std::size_t s = 0; s < weights.size(); ++s) {
    const at::Tensor& weight = weights[s];
    const OptionalTensor bias = biases[s];
    checks.dimensions("weights", weight, 5, "[C, 1, kd, kh, kw]")
        .shape("weights", weight, {x.size(4), 1, weight.size(2), weight.size(3), weight.size(4)}, "[C, 1, kd, kh, kw]")
        .shape("biases", bias, {x.size(4)}, "[C]");
    for (std::int64_t axis = 2; axis < 5; ++axis)
      TORCH_CHECK(weight.size(axis) % 2 == 1,
                  "depthwise_conv3d_multiscale: weights must have odd kernel sizes, has shape ", weight.sizes());
    with_gradient = with_gradient || wants_gradient({weight, bias});
    parameters.push_back(bias.value_or(at::Tensor()));
  }
  if (with_gradient) return Multiscale::apply(x, at::TensorList(parameters), silu);
  return std::get<0>(forward(x, weights, biases, silu, false));
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CompositeImplicitAutograd, m) { m.impl("depthwise_conv3d_multiscale", multiscale); }

}  // namespace m3d::depthwise_conv3d_multiscale_operators
