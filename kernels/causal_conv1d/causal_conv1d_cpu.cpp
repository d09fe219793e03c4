// The causal convolution on CPU. A piece of work is a batch and a block of tokens, whatever the number of threads;
// hence the same bits.
#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "kernels/causal_conv1d/causal_conv1d_loops.h"
#include "kernels/causal_conv1d/causal_conv1d_operators.h"
#include "kernels/checks.h"
#include "kernels/parallel.h"
#include "kernels/simd/choose.h"
#include "kernels/simd/tensor_view.h"

namespace m3d::causal_conv1d_operators {
namespace {

using namespace causal_conv1d_loops;

template <class T>
const Loops<T>& loops() {
  return M3D_CHOOSE(table, T);
}

/// The tensors of a call as the loops want them, alive while the loops run.
struct Arguments {
  Arguments(const at::Tensor& x_, const at::Tensor& weight_, const OptionalTensor& bias_)
      : x(with_dense_rows(x_)), weight(weight_.t().contiguous()), bias(bias_ ? bias_->contiguous() : at::Tensor()) {}
  at::Tensor x, weight, bias;
};

template <class T>
Inputs<T> inputs(const Arguments& in, bool silu) {
  return {.batch = in.x.size(0),
          .length = in.x.size(1),
          .channels = in.x.size(2),
          .width = static_cast<int>(in.weight.size(0)),
          .silu = silu,
          .x = tokens_of<const T>(in.x),
          .weight = values_of<T>(in.weight),
          .bias = values_of<T>(in.bias)};
}

/// piece(batch, block) for every block of every batch, on all threads.
template <class T, class Piece>
void for_each_block(const Inputs<T>& in, const Piece& piece) {
  const std::int64_t work = std::min(in.length, kBlock) * in.channels * (in.width + 8);
  for_each_piece(in.batch * in.blocks(), work, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) piece(i / in.blocks(), i % in.blocks());
  });
}

at::Tensor forward_cpu(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool silu) {
  const Arguments arguments(x, weight, bias);
  const at::Tensor y = at::empty(x.sizes(), x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "causal_conv1d", [&] {
    const Forward<scalar_t> conv{inputs<scalar_t>(arguments, silu), tokens_of<scalar_t>(y)};
    for_each_block<scalar_t>(conv, [&](auto batch, auto block) { loops<scalar_t>().forward(conv, batch, block); });
  });
  return y;
}

BackwardResult backward_cpu(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                            const OptionalTensor& bias, bool silu) {
  const Arguments arguments(x, weight, bias);
  const at::Tensor p = with_dense_rows(grad_y), grad_x = at::empty(x.sizes(), x.options());
  const std::int64_t width = weight.size(1);
  at::Tensor parts;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "causal_conv1d_backward", [&] {
    const Inputs<scalar_t> in = inputs<scalar_t>(arguments, silu);
    parts = empty_parts(in.batch * in.blocks(), {width + 1, in.channels}, x.options());
    const Backward<scalar_t> conv{in, tokens_of<const scalar_t>(p), tokens_of<scalar_t>(grad_x),
                                  parts.data_ptr<scalar_t>()};
    for_each_block<scalar_t>(in, [&](auto batch, auto block) { loops<scalar_t>().backward(conv, batch, block); });
  });
  const at::Tensor sum = sum_in_order(parts, 0);
  return {grad_x, sum.narrow(0, 0, width).t().contiguous(), sum.select(0, width)};
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CPU, m) {
  m.impl("causal_conv1d_forward", forward_cpu);
  m.impl("causal_conv1d_backward", backward_cpu);
}

}  // namespace m3d::causal_conv1d_operators
