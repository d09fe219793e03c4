#include "architectures/blocks/rms_norm.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/checks.h"
#include "kernels/parallel.h"

namespace m3d {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Σ term(c): in sixteen sums that the compiler keeps in vectors; their order depends on nothing but `channels`.
template <class T, class Term>
T summed(std::int64_t channels, const Term& term) {
  constexpr std::int64_t lanes = 16;
  std::array<T, lanes> sums{};
  std::int64_t c = 0;
  for (; c + lanes <= channels; c += lanes)
    for (std::int64_t lane = 0; lane < lanes; ++lane) sums[static_cast<std::size_t>(lane)] += term(c + lane);
  for (; c < channels; ++c) sums[0] += term(c);
  for (std::size_t half = lanes / 2; half > 0; half /= 2)
    for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  return sums[0];
}

template <class T>
T inverse_norm(const T* x, std::int64_t channels, double eps) {
  const T squares = summed<T>(channels, [x](std::int64_t c) { return x[c] * x[c]; });
  return 1 / std::sqrt(squares / static_cast<T>(channels) + static_cast<T>(eps));
}

template <class T>
void forward_rows(const torch::Tensor& x, const torch::Tensor& weight, double eps, const torch::Tensor& y) {
  const std::int64_t channels = weight.numel();
  const T *const from = x.const_data_ptr<T>(), *const scale = weight.const_data_ptr<T>();
  T* const to = y.data_ptr<T>();
  for_each_piece(x.numel() / channels, 4 * channels, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin * channels; row < end * channels; row += channels) {
      const T inverse = inverse_norm(from + row, channels, eps);
      for (std::int64_t c = 0; c < channels; ++c) to[row + c] = from[row + c] * inverse * scale[c];
    }
  });
}

/// Of y = x r w, r = (mean(x²) + eps)^(-1/2): dx = r (g w) - x r³ mean(g w x), dw = Σ over rows of g x r, here by
/// piece.
template <class T>
struct BackwardRows {
  const T *gradient, *x, *weight;
  T *grad_x, *parts;  // parts [pieces, channels]
  std::int64_t rows, channels, pieces;
  double eps;

  void piece(std::int64_t index) const {
    T* const sum = parts + index * channels;
    std::fill_n(sum, channels, T(0));
    for (std::int64_t r = index * rows / pieces; r < (index + 1) * rows / pieces; ++r) row(r * channels, sum);
  }

  void row(std::int64_t at, T* sum) const {
    const T *const g = gradient + at, *const v = x + at, *const w = weight;
    const T inverse = inverse_norm(v, channels, eps);
    const T mean = summed<T>(channels, [=](std::int64_t c) { return g[c] * w[c] * v[c]; }) / static_cast<T>(channels);
    const T slope = mean * inverse * inverse * inverse;
    for (std::int64_t c = 0; c < channels; ++c) {
      grad_x[at + c] = inverse * g[c] * w[c] - v[c] * slope;
      sum[c] += g[c] * v[c] * inverse;
    }
  }
};

struct RmsNormRows : torch::autograd::Function<RmsNormRows> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& given, const torch::Tensor& weight,
                               double eps) {
    const torch::Tensor x = given.contiguous(), y = torch::empty_like(x);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rms_norm", [&] { forward_rows<scalar_t>(x, weight, eps, y); });
    context->save_for_backward({x, weight});
    context->saved_data["eps"] = eps;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "rms_norm: has no second derivative (create_graph)");
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &weight = saved[1];
    const torch::Tensor gradient = gradients[0].contiguous(), grad_x = torch::empty_like(x);
    const std::int64_t channels = weight.numel(), rows = x.numel() / channels;
    const std::int64_t pieces = std::clamp<std::int64_t>(rows / 64, 1, 32);  // whatever the number of threads
    const torch::Tensor parts = torch::empty({pieces, channels}, weight.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rms_norm", [&] {
      const BackwardRows<scalar_t> backward{gradient.const_data_ptr<scalar_t>(),
                                            x.const_data_ptr<scalar_t>(),
                                            weight.const_data_ptr<scalar_t>(),
                                            grad_x.data_ptr<scalar_t>(),
                                            parts.data_ptr<scalar_t>(),
                                            rows,
                                            channels,
                                            pieces,
                                            context->saved_data["eps"].toDouble()};
      for_each_piece(pieces, 8 * x.numel() / pieces, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t piece = begin; piece < end; ++piece) backward.piece(piece);
      });
    });
    return {grad_x, sum_in_order(parts, 0), {}};
  }
};

}  // namespace

torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double eps) {
  const auto type = x.scalar_type();
  const bool rows = x.is_cpu() && weight.numel() > 0 && weight.scalar_type() == type && weight.is_contiguous() &&
                    (type == torch::kFloat || type == torch::kDouble);
  if (rows) return RmsNormRows::apply(x, weight, eps);
  return x * torch::rsqrt(x.square().mean(-1, true) + eps) * weight;
}

}  // namespace m3d
