// Autograd of the depthwise convolution: decomposes into m3d::depthwise_conv3d_forward on every device. Saved for the
// backward: x, the weight and SiLU's argument. All gradients are written anew. There is no second derivative.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/checks.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_operators.h"

namespace m3d::depthwise_conv3d_operators {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct DepthwiseConv3d : torch::autograd::Function<DepthwiseConv3d> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const OptionalTensor& bias, bool silu) {
    const auto [y, before_silu] = depthwise_conv3d_operators::forward(x, weight, bias, silu, true);
    context->save_for_backward({x, weight, silu ? before_silu : at::Tensor()});
    context->saved_data["has_bias"] = bias.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "depthwise_conv3d: has no second derivative (create_graph)");
    const variable_list saved = context->get_saved_variables();
    const OptionalTensor before_silu = saved[2].defined() ? OptionalTensor(saved[2]) : std::nullopt;
    const auto [grad_x, grad_weight, grad_bias] =
        depthwise_conv3d_operators::backward(gradients[0], saved[0], saved[1], before_silu);
    const bool has_bias = context->saved_data["has_bias"].toBool();
    return {grad_x, grad_weight, has_bias ? grad_bias : at::Tensor(), at::Tensor()};
  }
};

at::Tensor depthwise_conv3d_any(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool silu) {
  ArgumentChecks("depthwise_conv3d", "x", x, 5)
      .dimensions("weight", weight, 5, "[C, 1, kd, kh, kw]")
      .shape("weight", weight, {x.size(4), 1, weight.size(2), weight.size(3), weight.size(4)}, "[C, 1, kd, kh, kw]")
      .shape("bias", bias, {x.size(4)}, "[C]");
  for (std::int64_t axis = 2; axis < 5; ++axis)
    TORCH_CHECK(weight.size(axis) % 2 == 1, "depthwise_conv3d: weight must have odd kernel sizes, has shape ",
                weight.sizes());
  if (wants_gradient({x, weight, bias})) return DepthwiseConv3d::apply(x, weight, bias, silu);
  return std::get<0>(forward(x, weight, bias, silu, false));
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CompositeImplicitAutograd, m) { m.impl("depthwise_conv3d", depthwise_conv3d_any); }

}  // namespace m3d::depthwise_conv3d_operators
