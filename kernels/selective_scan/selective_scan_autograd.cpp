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

struct SelectiveScan : torch::autograd::Function<SelectiveScan> {
  static variable_list forward(AutogradContext* context, const at::Tensor& u, const at::Tensor& delta,
                               const at::Tensor& A, const at::Tensor& B, const at::Tensor& C, const OptionalTensor& D,
                               const OptionalTensor& z, const OptionalTensor& delta_bias, bool delta_softplus) {
    const auto [y, last_state, kept] =
        selective_scan_operators::forward(u, delta, A, B, C, D, z, delta_bias, delta_softplus, true);
    const at::Tensor none;
    context->save_for_backward(
        {u, delta, A, B, C, D.value_or(none), z.value_or(none), delta_bias.value_or(none), kept});
    context->saved_data["delta_softplus"] = delta_softplus;
    context->set_materialize_grads(false);
    return {y, last_state};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "selective_scan: has no second derivative (create_graph)");
    const variable_list s = context->get_saved_variables();
    const at::Tensor grad_y = gradients[0].defined() ? gradients[0] : at::zeros(s[0].sizes(), s[0].options());
    const auto [u, delta, A, B, C, D, z, bias] = selective_scan_operators::backward(
        grad_y, optional(gradients[1]), s[0], s[1], s[2], s[3], s[4], optional(s[5]), optional(s[6]), optional(s[7]),
        context->saved_data["delta_softplus"].toBool(), s[8]);
    const at::Tensor none;
    return {u,   delta, A, B, C, s[5].defined() ? D : none, s[6].defined() ? z : none, s[7].defined() ? bias : none,
            none};
  }
};

void check(const char* op, const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
           const at::Tensor& C, const OptionalTensor& D, const OptionalTensor& z, const OptionalTensor& delta_bias) {
  const ArgumentChecks checks(op, "u", u, 3);
  checks.dimensions("A", A, 2, "[D, N]");
  const std::int64_t batch = u.size(0), length = u.size(1), channels = u.size(2), states = A.size(1);
  checks.shape("A", A, {channels, states}, "[D, N]")
      .shape("delta", delta, u.sizes(), "[B, L, D]")
      .shape("B", B, {batch, length, states}, "[B, L, N]")
      .shape("C", C, {batch, length, states}, "[B, L, N]")
      .shape("D", D, {channels}, "[D]")
      .shape("z", z, u.sizes(), "[B, L, D]")
      .shape("delta_bias", delta_bias, {channels}, "[D]");
}

std::tuple<at::Tensor, at::Tensor> run(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A,
                                       const at::Tensor& B, const at::Tensor& C, const OptionalTensor& D,
                                       const OptionalTensor& z, const OptionalTensor& delta_bias, bool delta_softplus) {
  if (wants_gradient({u, delta, A, B, C, D, z, delta_bias})) {
    const variable_list out = SelectiveScan::apply(u, delta, A, B, C, D, z, delta_bias, delta_softplus);
    return {out[0], out[1]};
  }
  const auto [y, last_state, kept] = forward(u, delta, A, B, C, D, z, delta_bias, delta_softplus, false);
  return {y, last_state};
}

at::Tensor without_state(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                         const at::Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                         const OptionalTensor& delta_bias, bool delta_softplus) {
  check("selective_scan", u, delta, A, B, C, D, z, delta_bias);
  return std::get<0>(run(u, delta, A, B, C, D, z, delta_bias, delta_softplus));
}

std::tuple<at::Tensor, at::Tensor> with_state(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A,
                                              const at::Tensor& B, const at::Tensor& C, const OptionalTensor& D,
                                              const OptionalTensor& z, const OptionalTensor& delta_bias,
                                              bool delta_softplus) {
  check("selective_scan_with_state", u, delta, A, B, C, D, z, delta_bias);
  return run(u, delta, A, B, C, D, z, delta_bias, delta_softplus);
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CompositeImplicitAutograd, m) {
  m.impl("selective_scan", without_state);
  m.impl("selective_scan_with_state", with_state);
}

}  // namespace m3d::selective_scan_operators
