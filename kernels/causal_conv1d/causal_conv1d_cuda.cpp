// The causal convolution on CUDA: allocation and choice of the kernels. Nothing waits for the device.
#include "kernels/causal_conv1d/causal_conv1d_cuda.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "kernels/causal_conv1d/causal_conv1d_operators.h"
#include "kernels/checks.h"
#include "kernels/cuda/call.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/sum_parts.h"
#include "kernels/simd/tensor_view.h"

namespace m3d::causal_conv1d_operators {
namespace {

using namespace causal_conv1d_cuda;
using cuda::Call;
using cuda::pointer_to;

/// The tensors of a call as the kernels want them, alive until the kernels are launched.
struct Arguments {
  Arguments(const at::Tensor& x_, const at::Tensor& weight_, const OptionalTensor& bias_)
      : x(with_dense_rows(x_)), weight(weight_.t().to(sums()).contiguous()) {
    if (bias_) bias = bias_->to(sums()).contiguous();
  }
  at::ScalarType sums() const { return accumulation_dtype(x.scalar_type()); }

  template <class T>
  Inputs<T> inputs(bool silu) const {
    return {x.size(0),
            x.size(1),
            x.size(2),
            static_cast<int>(weight.size(0)),
            silu,
            tokens_of<const T>(x),
            values_of<Sums<T>>(weight),
            values_of<Sums<T>>(bias)};
  }

  at::Tensor x, weight, bias;
};

at::Tensor forward_cuda(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool silu) {
  const Call call(x);
  const Arguments in(x, weight, bias);
  const at::Tensor y = at::empty(x.sizes(), x.options());
  if (x.numel() == 0) return y;
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, x.scalar_type(), "causal_conv1d", [&] {
    run_forward<scalar_t>({in.inputs<scalar_t>(silu), tokens_of<scalar_t>(y)}, call.stream());
  });
  return y;
}

BackwardResult backward_cuda(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                             const OptionalTensor& bias, bool silu) {
  const Call call(x);
  const Arguments in(x, weight, bias);
  const at::Tensor g = with_dense_rows(grad_y), grad_x = at::empty(x.sizes(), x.options());
  const std::int64_t width = weight.size(1), channels = x.size(2);
  const at::TensorOptions sums = x.options().dtype(in.sums());
  const at::Tensor total = at::empty({width + 1, channels}, sums);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, x.scalar_type(), "causal_conv1d_backward", [&] {
    Backward<scalar_t> conv{in.inputs<scalar_t>(silu), tokens_of<const scalar_t>(g), tokens_of<scalar_t>(grad_x),
                            nullptr};
    const std::int64_t count = x.numel() > 0 ? parts_count(conv) : 0;
    const at::Tensor parts = at::empty({count, width + 1, channels}, sums);
    conv.parts = pointer_to<Sums<scalar_t>>(parts);
    if (count > 0) run_backward(conv, call.stream());
    cuda::sum_parts<Sums<scalar_t>, Sums<scalar_t>>(
        {conv.parts, count, total.numel(), false, pointer_to<Sums<scalar_t>>(total)}, call.stream());
  });
  return {grad_x, total.narrow(0, 0, width).t().contiguous(), total.select(0, width)};
}

}  // namespace

}  // namespace m3d::causal_conv1d_operators

void m3d::cuda::register_causal_conv1d(torch::Library& m) {
  m.impl("causal_conv1d_forward", causal_conv1d_operators::forward_cuda);
  m.impl("causal_conv1d_backward", causal_conv1d_operators::backward_cuda);
}
