// Autograd of the causal convolution: decomposes into m3d::causal_conv1d_forward on every device. Saved for the
// backward: the inputs; SiLU's argument is recomputed. All gradients are written anew. There is no second derivative.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/causal_conv1d/causal_conv1d_loops.h"
#include "kernels/causal_conv1d/causal_conv1d_operators.h"
#include "kernels/checks.h"

namespace m3d::causal_conv1d_operators {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct CausalConv1d : torch::autograd::Function<CausalConv1d> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const OptionalTensor& bias, bool silu) {
    context->save_for_backward({x, weight, bias.value_or(at::Tensor())});
    context->saved_data["silu"] = silu;
    return causal_conv1d_operators::forward(x, weight, bias, silu);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "causal_conv1d: has no second derivative (create_graph)");
    const variable_list saved = context->get_saved_variables();
    const OptionalTensor bias = saved[2].defined() ? OptionalTensor(saved[2]) : std::nullopt;
    const auto [grad_x, grad_weight, grad_bias] =
        causal_conv1d_operators::backward(gradients[0], saved[0], saved[1], bias, context->saved_data["silu"].toBool());
    return {grad_x, grad_weight, bias ? grad_bias : at::Tensor(), at::Tensor()};
  }
};

at::Tensor causal_conv1d_any(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool silu) {
  const ArgumentChecks checks("causal_conv1d", "x", x, 3, /*half_types=*/true);
  TORCH_CHECK(weight.dim() == 2, "causal_conv1d: weight must be [C, width], has shape ", weight.sizes());
  checks.parameter("weight", weight, {x.size(2), weight.size(1)}, "[C, width]")
      .parameter("bias", bias, {x.size(2)}, "[C]");
  TORCH_CHECK(weight.size(1) >= 1 && weight.size(1) <= causal_conv1d_loops::kMaxWidth,
              "causal_conv1d: weight must have a width of 1 to ", causal_conv1d_loops::kMaxWidth, ", has shape ",
              weight.sizes());
  const auto dtype = accumulation_dtype(x.scalar_type());
  const at::Tensor exact_weight = weight.to(dtype);
  const OptionalTensor exact_bias = bias ? OptionalTensor(bias->to(dtype)) : std::nullopt;
  if (wants_gradient({x, weight, bias})) return CausalConv1d::apply(x, exact_weight, exact_bias, silu);
  return forward(x, exact_weight, exact_bias, silu);
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CompositeImplicitAutograd, m) { m.impl("causal_conv1d", causal_conv1d_any); }

}  // namespace m3d::causal_conv1d_operators
