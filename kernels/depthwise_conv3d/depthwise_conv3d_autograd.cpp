// Autograd of the depthwise convolution: decomposes into m3d::depthwise_conv3d_forward on every device. Saved for the
// backward: x, the weights and SiLU's argument. All gradients are written anew. There is no second derivative.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/checks.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_loops.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_operators.h"

namespace m3d::depthwise_conv3d_operators {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using depthwise_conv3d_loops::kMaxScales;

OptionalTensors present(at::TensorList tensors) {
  OptionalTensors list;
  for (const at::Tensor& tensor : tensors) list.push_back(tensor);
  return list;
}

struct DepthwiseConv3d : torch::autograd::Function<DepthwiseConv3d> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, at::TensorList weights,
                            at::TensorList biases, bool silu) {
    const auto [y, before_silu] = depthwise_conv3d_operators::forward(x, weights, present(biases), silu, true);
    variable_list saved = {x, silu ? before_silu : at::Tensor()};
    saved.insert(saved.end(), weights.begin(), weights.end());
    context->save_for_backward(saved);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "depthwise_conv3d: has no second derivative (create_graph)");
    const variable_list saved = context->get_saved_variables();
    const variable_list weights(saved.begin() + 2, saved.end());
    const OptionalTensor before_silu = saved[1].defined() ? OptionalTensor(saved[1]) : std::nullopt;
    const auto [grad_x, grad_weights, grad_biases] =
        depthwise_conv3d_operators::backward(gradients[0], saved[0], weights, before_silu);
    variable_list result = {grad_x};
    result.insert(result.end(), grad_weights.begin(), grad_weights.end());
    result.insert(result.end(), grad_biases.begin(), grad_biases.end());
    result.emplace_back();  // silu
    return result;
  }
};

void check(const ArgumentChecks& checks, const char* op, const at::Tensor& x, const at::Tensor& weight,
           const OptionalTensor& bias) {
  TORCH_CHECK(weight.dim() == 5, op, ": weight must be [C, 1, kd, kh, kw], has shape ", weight.sizes());
  checks
      .parameter("weight", weight, {x.size(4), 1, weight.size(2), weight.size(3), weight.size(4)}, "[C, 1, kd, kh, kw]")
      .parameter("bias", bias, {x.size(4)}, "[C]");
  for (std::int64_t axis = 2; axis < 5; ++axis)
    TORCH_CHECK(weight.size(axis) % 2 == 1, op, ": weight must have odd kernel sizes, has shape ", weight.sizes());
}

at::Tensor run(const char* op, const at::Tensor& x, at::TensorList weights, const OptionalTensors& biases, bool silu) {
  const ArgumentChecks checks(op, "x", x, 5, /*half_types=*/true);
  const auto dtype = accumulation_dtype(x.scalar_type());
  bool differentiate = wants_gradient({x});
  variable_list exact_weights, exact_biases;
  for (std::size_t s = 0; s < weights.size(); ++s) {
    const OptionalTensor bias = biases[s];
    check(checks, op, x, weights[s], bias);
    differentiate = differentiate || wants_gradient({weights[s], bias});
    exact_weights.push_back(weights[s].to(dtype));
    // Autograd takes no absent tensors in a list.
    exact_biases.push_back(bias ? bias->to(dtype) : at::zeros({x.size(4)}, weights[s].options().dtype(dtype)));
  }
  if (differentiate)
    return DepthwiseConv3d::apply(x, at::TensorList(exact_weights), at::TensorList(exact_biases), silu);
  return std::get<0>(forward(x, exact_weights, present(exact_biases), silu, false));
}

at::Tensor one_scale(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool silu) {
  OptionalTensors biases;
  biases.push_back(bias);
  return run("depthwise_conv3d", x, {weight}, biases, silu).squeeze(1);
}

at::Tensor several_scales(const at::Tensor& x, at::TensorList weights, const OptionalTensors& biases, bool silu) {
  constexpr const char* op = "depthwise_conv3d_multiscale";
  TORCH_CHECK(!weights.empty() && weights.size() <= kMaxScales, op, ": weights must be 1 to ", kMaxScales,
              " tensors, got ", weights.size());
  TORCH_CHECK(biases.size() == weights.size(), op, ": biases must be as many as weights (", weights.size(), "), got ",
              biases.size());
  return run(op, x, weights, biases, silu);
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CompositeImplicitAutograd, m) {
  m.impl("depthwise_conv3d", one_scale);
  m.impl("depthwise_conv3d_multiscale", several_scales);
}

}  // namespace m3d::depthwise_conv3d_operators
