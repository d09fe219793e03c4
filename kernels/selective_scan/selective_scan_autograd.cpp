// Autograd of the selective scan. The public operators decompose into m3d::selective_scan_forward, on every device, so
// that a device adds a forward and a backward only. Saved for the backward: the inputs and the states that forward
// keeps. All gradients are written anew, none accumulated. There is no second derivative.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/checks.h"
#include "kernels/selective_scan/selective_scan_operators.h"

namespace m3d::selective_scan_operators {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

OptionalTensor optional(const at::Tensor& tensor) { return tensor.defined() ? OptionalTensor(tensor) : std::nullopt; }

/// The arguments as the devices take them.
struct Inputs {
  at::Tensor u, delta, A, B, C;
  OptionalTensor D, z, delta_bias;
  bool delta_softplus;
  OptionalTensor initial_state, orders;
};

ForwardResult call_forward(const Inputs& in, bool keep_states) {
  return forward(in.u, in.delta, in.A, in.B, in.C, in.D, in.z, in.delta_bias, in.delta_softplus, in.initial_state,
                 in.orders, keep_states);
}

struct SelectiveScan : torch::autograd::Function<SelectiveScan> {
  static variable_list forward(AutogradContext* context, const at::Tensor& u, const at::Tensor& delta,
                               const at::Tensor& A, const at::Tensor& B, const at::Tensor& C, const OptionalTensor& D,
                               const OptionalTensor& z, const OptionalTensor& delta_bias, bool delta_softplus,
                               const OptionalTensor& initial_state, const OptionalTensor& orders) {
    const auto [y, last_state, kept] =
        call_forward({u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, orders}, true);
    const at::Tensor none;
    context->save_for_backward({u, delta, A, B, C, D.value_or(none), z.value_or(none), delta_bias.value_or(none),
                                initial_state.value_or(none), orders.value_or(none), kept});
    context->saved_data["delta_softplus"] = delta_softplus;
    context->set_materialize_grads(false);
    return {y, last_state};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "selective_scan: has no second derivative (create_graph)");
    const variable_list s = context->get_saved_variables();
    const at::Tensor grad_y = gradients[0].defined() ? gradients[0] : at::zeros(s[0].sizes(), s[0].options());
    const auto [u, delta, A, B, C, D, z, bias, initial_state] = selective_scan_operators::backward(
        grad_y, optional(gradients[1]), s[0], s[1], s[2], s[3], s[4], optional(s[5]), optional(s[6]), optional(s[7]),
        context->saved_data["delta_softplus"].toBool(), optional(s[8]), optional(s[9]), s[10]);
    const at::Tensor none;
    const auto if_given = [&](std::size_t saved, const at::Tensor& gradient) {
      return s[saved].defined() ? gradient : none;
    };
    return {u,    delta, A, B, C, if_given(5, D), if_given(6, z), if_given(7, bias), none, if_given(8, initial_state),
            none};
  }
};

void check(const char* op, const Inputs& in) {
  const ArgumentChecks checks(op, "u", in.u, 3, true);
  TORCH_CHECK(in.A.dim() == 2, op, ": A must be [D, N], has shape ", in.A.sizes());
  const std::int64_t batch = in.u.size(0), length = in.u.size(1), channels = in.u.size(2), states = in.A.size(1);
  TORCH_CHECK(states >= 1 && states <= 256, op, ": A must have 1 to 256 states, has ", states);
  checks.parameter("A", in.A, {channels, states}, "[D, N]")
      .shape("delta", in.delta, in.u.sizes(), "[B, L, D]")
      .shape("B", in.B, {batch, length, states}, "[B, L, N]")
      .shape("C", in.C, {batch, length, states}, "[B, L, N]")
      .parameter("D", in.D, {channels}, "[D]")
      .shape("z", in.z, in.u.sizes(), "[B, L, D]")
      .parameter("delta_bias", in.delta_bias, {channels}, "[D]")
      .parameter("initial_state", in.initial_state, {batch, channels, states}, "[B, D, N]")
      .orders("orders", in.orders, length);
  const std::int64_t passes = in.orders ? in.orders->size(0) : 1;
  TORCH_CHECK(passes == 1 || !in.initial_state, op, ": initial_state needs one order, got ", passes);
}

/// Parameters and states in the accumulation's dtype.
Inputs accumulating(Inputs in) {
  const auto dtype = accumulation_dtype(in.u.scalar_type());
  in.A = in.A.to(dtype);
  for (OptionalTensor* tensor : {&in.D, &in.delta_bias, &in.initial_state})
    if (*tensor) *tensor = (*tensor)->to(dtype);
  return in;
}

std::tuple<at::Tensor, at::Tensor> run(const Inputs& given) {
  const Inputs in = accumulating(given);
  if (wants_gradient({in.u, in.delta, in.A, in.B, in.C, in.D, in.z, in.delta_bias, in.initial_state})) {
    const variable_list out = SelectiveScan::apply(in.u, in.delta, in.A, in.B, in.C, in.D, in.z, in.delta_bias,
                                                   in.delta_softplus, in.initial_state, in.orders);
    return {out[0], out[1]};
  }
  const auto [y, last_state, kept] = call_forward(in, false);
  return {y, last_state};
}

at::Tensor without_state(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                         const at::Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                         const OptionalTensor& delta_bias, bool delta_softplus, const OptionalTensor& initial_state,
                         const OptionalTensor& orders) {
  const Inputs in{u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, orders};
  check("selective_scan", in);
  return std::get<0>(run(in));
}

std::tuple<at::Tensor, at::Tensor> with_state(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A,
                                              const at::Tensor& B, const at::Tensor& C, const OptionalTensor& D,
                                              const OptionalTensor& z, const OptionalTensor& delta_bias,
                                              bool delta_softplus, const OptionalTensor& initial_state,
                                              const OptionalTensor& orders) {
  const Inputs in{u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, orders};
  check("selective_scan_with_state", in);
  TORCH_CHECK(!orders || orders->size(0) == 1, "selective_scan_with_state: orders must be one order, got ",
              orders->size(0));
  return run(in);
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CompositeImplicitAutograd, m) {
  m.impl("selective_scan", without_state);
  m.impl("selective_scan_with_state", with_state);
}

}  // namespace m3d::selective_scan_operators
