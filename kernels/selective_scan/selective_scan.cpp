#include "kernels/selective_scan/selective_scan.h"

#include <torch/library.h>

#include "kernels/selective_scan/selective_scan_operators.h"

namespace m3d {
namespace selective_scan_operators {

ForwardResult forward(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                      const at::Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                      const OptionalTensor& delta_bias, bool delta_softplus, const OptionalTensor& initial_state,
                      const OptionalTensor& orders, bool keep_states) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::selective_scan_forward", "").typed<decltype(forward)>();
  return op.call(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, orders, keep_states);
}

BackwardResult backward(const at::Tensor& grad_y, const OptionalTensor& grad_last_state, const at::Tensor& u,
                        const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B, const at::Tensor& C,
                        const OptionalTensor& D, const OptionalTensor& z, const OptionalTensor& delta_bias,
                        bool delta_softplus, const OptionalTensor& initial_state, const OptionalTensor& orders,
                        const at::Tensor& kept_states) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::selective_scan_backward", "").typed<decltype(backward)>();
  return op.call(grad_y, grad_last_state, u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, orders,
                 kept_states);
}

namespace {

at::Tensor state_of(const at::Tensor& u, const at::Tensor& A) {
  return at::empty({u.size(0), u.size(2), A.size(1)}, A.options());
}

ForwardResult forward_meta(const at::Tensor& u, const at::Tensor&, const at::Tensor& A, const at::Tensor&,
                           const at::Tensor&, const OptionalTensor&, const OptionalTensor&, const OptionalTensor&, bool,
                           const OptionalTensor&, const OptionalTensor&, bool) {
  return {at::empty(u.sizes(), u.options()), state_of(u, A), at::empty({0}, A.options())};
}

at::Tensor empty_of(const at::Tensor& like) { return at::empty(like.sizes(), like.options()); }

BackwardResult backward_meta(const at::Tensor&, const OptionalTensor&, const at::Tensor& u, const at::Tensor& delta,
                             const at::Tensor& A, const at::Tensor& B, const at::Tensor& C, const OptionalTensor&,
                             const OptionalTensor& z, const OptionalTensor&, bool, const OptionalTensor&,
                             const OptionalTensor&, const at::Tensor&) {
  const at::Tensor channels = at::empty({u.size(2)}, A.options());
  return {empty_of(u),
          empty_of(delta),
          empty_of(A),
          empty_of(B),
          empty_of(C),
          channels,
          z ? empty_of(*z) : at::empty({0}, u.options()),
          empty_of(channels),
          state_of(u, A)};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(m3d, m) {
  const std::string inputs =
      "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D=None, Tensor? z=None, Tensor? delta_bias=None, "
      "bool delta_softplus=False, Tensor? initial_state=None, Tensor? orders=None";
  const auto define = [&](const std::string& schema) { m.def(schema.c_str()); };
  define("selective_scan(" + inputs + ") -> Tensor");
  define("selective_scan_with_state(" + inputs + ") -> (Tensor y, Tensor last_state)");
  define("selective_scan_forward(" + inputs +
         ", bool keep_states=False) -> (Tensor y, Tensor last_state, Tensor kept_states)");
  m.def(
      "selective_scan_backward(Tensor grad_y, Tensor? grad_last_state, Tensor u, Tensor delta, Tensor A, Tensor B, "
      "Tensor C, Tensor? D, Tensor? z, Tensor? delta_bias, bool delta_softplus, Tensor? initial_state, Tensor? orders, "
      "Tensor kept_states) -> (Tensor grad_u, Tensor grad_delta, Tensor grad_A, Tensor grad_B, Tensor grad_C, "
      "Tensor grad_D, Tensor grad_z, Tensor grad_delta_bias, Tensor grad_initial_state)");
}

TORCH_LIBRARY_IMPL(m3d, Meta, m) {
  m.impl("selective_scan_forward", forward_meta);
  m.impl("selective_scan_backward", backward_meta);
}

}  // namespace selective_scan_operators

at::Tensor selective_scan(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                          const at::Tensor& C, const std::optional<at::Tensor>& D, const std::optional<at::Tensor>& z,
                          const std::optional<at::Tensor>& delta_bias, bool delta_softplus,
                          const std::optional<at::Tensor>& initial_state, const std::optional<at::Tensor>& orders) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::selective_scan", "").typed<decltype(selective_scan)>();
  return op.call(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, orders);
}

std::tuple<at::Tensor, at::Tensor> selective_scan_with_state(const at::Tensor& u, const at::Tensor& delta,
                                                             const at::Tensor& A, const at::Tensor& B,
                                                             const at::Tensor& C, const std::optional<at::Tensor>& D,
                                                             const std::optional<at::Tensor>& z,
                                                             const std::optional<at::Tensor>& delta_bias,
                                                             bool delta_softplus,
                                                             const std::optional<at::Tensor>& initial_state,
                                                             const std::optional<at::Tensor>& orders) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("m3d::selective_scan_with_state", "")
                             .typed<decltype(selective_scan_with_state)>();
  return op.call(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, orders);
}

}  // namespace m3d
