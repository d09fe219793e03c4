#include "kernels/depthwise_conv3d/depthwise_conv3d.h"

#include <torch/library.h>

#include "kernels/depthwise_conv3d/depthwise_conv3d_reference.h"

namespace m3d {
namespace {

at::Tensor composite(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias, bool silu) {
  if (x.is_meta()) return at::empty_like(x);
  return depthwise_conv3d_reference(x, weight, bias, silu);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(m3d, m) {
  m.def("depthwise_conv3d(Tensor x, Tensor weight, Tensor? bias=None, bool silu=False) -> Tensor", composite);
}

at::Tensor depthwise_conv3d(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                         bool silu) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("m3d::depthwise_conv3d", "").typed<decltype(depthwise_conv3d)>();
  return op.call(x, weight, bias, silu);
}

}  // namespace m3d
