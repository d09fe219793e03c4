#include "kernels/selective_scan/selective_scan.h"

#include <torch/library.h>

#include "kernels/selective_scan/selective_scan_reference.h"

namespace m3d {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

std::tuple<at::Tensor, at::Tensor> with_state(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A,
                                              const at::Tensor& B, const at::Tensor& C, const OptionalTensor& D,
                                              const OptionalTensor& z, const OptionalTensor& delta_bias,
                                              bool delta_softplus) {
  if (u.is_meta()) return {at::empty_like(u), at::empty({u.size(0), u.size(2), A.size(1)}, u.options())};
  return selective_scan_reference(u, delta, A, B, C, D, z, delta_bias, delta_softplus);
}

at::Tensor without_state(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                         const at::Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                         const OptionalTensor& delta_bias, bool delta_softplus) {
  return std::get<0>(with_state(u, delta, A, B, C, D, z, delta_bias, delta_softplus));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(m3d, m) {
  m.def(
      "selective_scan(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D=None, Tensor? z=None, "
      "Tensor? delta_bias=None, bool delta_softplus=False) -> Tensor",
      without_state);
  m.def(
      "selective_scan_with_state(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D=None, "
      "Tensor? z=None, Tensor? delta_bias=None, bool delta_softplus=False) -> (Tensor y, Tensor last_state)",
      with_state);
}

at::Tensor selective_scan(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                          const at::Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                          const OptionalTensor& delta_bias, bool delta_softplus) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::selective_scan", "").typed<decltype(selective_scan)>();
  return op.call(u, delta, A, B, C, D, z, delta_bias, delta_softplus);
}

std::tuple<at::Tensor, at::Tensor> selective_scan_with_state(const at::Tensor& u, const at::Tensor& delta,
                                                             const at::Tensor& A, const at::Tensor& B,
                                                             const at::Tensor& C, const OptionalTensor& D,
                                                             const OptionalTensor& z, const OptionalTensor& delta_bias,
                                                             bool delta_softplus) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("m3d::selective_scan_with_state", "")
                             .typed<decltype(selective_scan_with_state)>();
  return op.call(u, delta, A, B, C, D, z, delta_bias, delta_softplus);
}

}  // namespace m3d
