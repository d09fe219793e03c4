// The causal convolution on CPU. A piece of work is a batch and a block of tokens, whatever the number of threads;
// hence the same bits.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <vector>

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

/// piece(batch, block, memory) for every block of every batch, on all threads; memory: of `values` values.
template <class T, class S, class Piece>
void for_each_block(const Inputs<T, S>& in, std::int64_t values, const Piece& piece) {
  const std::int64_t work = std::min(in.length, kBlock) * in.channels * (in.width + 8);
  for_each_piece(in.batch * in.blocks(), work, [&](std::int64_t begin, std::int64_t end) {
    std::vector<T> memory(static_cast<std::size_t>(values));
    for (std::int64_t i = begin; i < end; ++i) piece(i / in.blocks(), i % in.blocks(), memory.data());
  });
}

/// Sum of parts [P, width + 1, C] in their order. There may be hundreds, too small to be worth an operator each.
template <class T>
at::Tensor sum_of_parts(const at::Tensor& parts) {
  at::Tensor sum = parts.select(0, 0).clone();
  T* const total = sum.data_ptr<T>();
  const T* part = parts.const_data_ptr<T>();
  for (std::int64_t k = 1; k < parts.size(0); ++k) {
    part += sum.numel();
    for (std::int64_t i = 0; i < sum.numel(); ++i) total[i] += part[i];
  }
  return sum;
}

at::Tensor forward_cpu(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool silu) {
  const Arguments arguments(x, weight, bias);
  const at::Tensor y = at::empty(x.sizes(), x.options());
  with_storage("causal_conv1d", x.scalar_type(), [&]<class T, class S>() {
    const Forward<T, S> conv{inputs<T, S>(arguments, silu), tokens_of<S>(y)};
    for_each_block<T, S>(conv, 0, [&](auto batch, auto block, T*) { loops<T, S>().forward(conv, batch, block); });
  });
  return y;
}

BackwardResult backward_cpu(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                            const OptionalTensor& bias, bool silu) {
  const Arguments arguments(x, weight, bias);
  const at::Tensor p = with_dense_rows(grad_y), grad_x = at::empty(x.sizes(), x.options());
  const std::int64_t width = weight.size(1);
  at::Tensor sum;
  with_storage("causal_conv1d", x.scalar_type(), [&]<class T, class S>() {
    const Inputs<T, S> in = inputs<T, S>(arguments, silu);
    const at::Tensor parts = empty_parts(in.batch * in.blocks(), {width + 1, in.channels}, weight.options());
    const Backward<T, S> conv{in, tokens_of<const S>(p), tokens_of<S>(grad_x), parts.data_ptr<T>()};
    for_each_block<T, S>(in, (width - 1) * in.channels, [&](auto batch, auto block, T* memory) {
      loops<T, S>().backward(conv, batch, block, memory);
    });
    sum = sum_of_parts<T>(parts);
  });
  return {grad_x, sum.narrow(0, 0, width).t().contiguous(), sum.select(0, width)};
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CPU, m) {
  m.impl("causal_conv1d_forward", forward_cpu);
  m.impl("causal_conv1d_backward", backward_cpu);
}

}  // namespace m3d::causal_conv1d_operators
