// The causal convolution on CPU. A piece of work is a batch and a block of tokens, whatever the number of threads;
// hence the same bits.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "kernels/causal_conv1d/causal_conv1d_loops.h"
#include "kernels/causal_conv1d/causal_conv1d_operators.h"
#include "kernels/checks.h"
#include "kernels/parallel.h"
#include "kernels/simd/choose.h"
#include "kernels/simd/storage_types.h"
#include "kernels/simd/tensor_view.h"

namespace m3d::causal_conv1d_operators {
namespace {

using namespace causal_conv1d_loops;

template <class T, class S>
const Loops<T, S>& loops() {
  return M3D_CHOOSE(table, T, S);
}

/// The tensors of a call as the loops want them, alive while the loops run.
struct Arguments {
  Arguments(const at::Tensor& x_, const at::Tensor& weight_, const OptionalTensor& bias_)
      : x(with_dense_rows(x_)), weight(weight_.t().contiguous()), bias(bias_ ? bias_->contiguous() : at::Tensor()) {}
  at::Tensor x, weight, bias;
};

template <class T, class S>
Inputs<T, S> inputs(const Arguments& in, bool silu) {
  return {.batch = in.x.size(0),
          .length = in.x.size(1),
          .channels = in.x.size(2),
          .width = static_cast<int>(in.weight.size(0)),
          .silu = silu,
          .x = tokens_of<const S>(in.x),
          .weight = values_of<T>(in.weight),
          .bias = values_of<T>(in.bias)};
}

/// piece(batch, block) for every block of every batch, on all threads.
template <class T, class S, class Piece>
void for_each_block(const Inputs<T, S>& in, const Piece& piece) {
  const std::int64_t work = std::min(in.length, kBlock) * in.channels * (in.width + 8);
  for_each_piece(in.batch * in.blocks(), work, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) piece(i / in.blocks(), i % in.blocks());
  });
}

at::Tensor forward_cpu(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool silu) {
  const Arguments arguments(x, weight, bias);
  const at::Tensor y = at::empty(x.sizes(), x.options());
  with_storage("causal_conv1d", x.scalar_type(), [&]<class T, class S>() {
    const Forward<T, S> conv{inputs<T, S>(arguments, silu), tokens_of<S>(y)};
    for_each_block<T, S>(conv, [&](auto batch, auto block) { loops<T, S>().forward(conv, batch, block); });
  });
  return y;
}

BackwardResult backward_cpu(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                            const OptionalTensor& bias, bool silu) {
  const Arguments arguments(x, weight, bias);
  const at::Tensor p = with_dense_rows(grad_y), grad_x = at::empty(x.sizes(), x.options());
  const std::int64_t width = weight.size(1);
  at::Tensor parts;
  with_storage("causal_conv1d", x.scalar_type(), [&]<class T, class S>() {
    const Inputs<T, S> in = inputs<T, S>(arguments, silu);
    parts = empty_parts(in.batch * in.blocks(), {width + 1, in.channels}, weight.options());
    const Backward<T, S> conv{in, tokens_of<const S>(p), tokens_of<S>(grad_x), parts.data_ptr<T>()};
    for_each_block<T, S>(in, [&](auto batch, auto block) { loops<T, S>().backward(conv, batch, block); });
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
