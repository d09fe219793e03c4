// The depthwise 3D convolution on CUDA: allocation and arguments of the kernels. Nothing waits for the device.
#include "kernels/depthwise_conv3d/depthwise_conv3d_cuda.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <vector>

#include "kernels/checks.h"
#include "kernels/cuda/call.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/sum_parts.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_operators.h"
#include "kernels/simd/tensor_view.h"

namespace m3d::depthwise_conv3d_operators {
namespace {

using namespace depthwise_conv3d_cuda;
using cuda::Call;
using cuda::pointer_to;

template <class T>
Volume<const T> volume_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {tensor.const_data_ptr<T>(), tensor.stride(0), tensor.stride(1), tensor.stride(2), tensor.stride(3)};
}

Geometry geometry_of(const at::Tensor& x) { return {x.size(0), x.size(1), x.size(2), x.size(3), x.size(4)}; }

std::array<int, 3> kernel_of(const at::Tensor& weight) {
  return {static_cast<int>(weight.size(2)), static_cast<int>(weight.size(3)), static_cast<int>(weight.size(4))};
}

at::TensorOptions sum_options(const at::Tensor& x) { return x.options().dtype(accumulation_dtype(x.scalar_type())); }

/// [C, 1, kd, kh, kw] as [taps, C]; the taps in reverse for the gradient of x.
at::Tensor pack(const at::Tensor& weight, const at::TensorOptions& sums, bool reverse) {
  at::Tensor taps = weight.reshape({weight.size(0), -1}).t();
  if (reverse) taps = taps.flip(0);
  return taps.to(sums).contiguous();
}

ForwardResult forward_cuda(const at::Tensor& x_, at::TensorList weights, const OptionalTensors& biases_, bool silu,
                           bool keep_before_silu) {
  const bool keep = silu && keep_before_silu;
  const Call call(x_);
  const at::Tensor x = with_dense_rows(x_);
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.insert(shape.begin() + 1, static_cast<std::int64_t>(weights.size()));
  const at::Tensor y = at::empty(shape, x.options());
  const at::Tensor before_silu = at::empty(keep ? shape : std::vector<std::int64_t>{0}, x.options());
  if (y.numel() == 0) return {y, before_silu};
  std::vector<at::Tensor> packed, biases;
  for (std::size_t s = 0; s < weights.size(); ++s) {
    packed.push_back(pack(weights[s], sum_options(x), false));
    const OptionalTensor bias = biases_[s];
    biases.push_back(bias ? bias->to(sum_options(x)).contiguous() : at::Tensor());
  }
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, x.scalar_type(), "depthwise_conv3d", [&] {
    Correlation<scalar_t> conv{geometry_of(x), static_cast<int>(weights.size()), false, silu};
    for (std::size_t s = 0; s < weights.size(); ++s) {
      const std::int64_t first = static_cast<std::int64_t>(s) * y.stride(1);
      scalar_t* const before = pointer_to<scalar_t>(before_silu);
      conv.sources[s] = {volume_of<scalar_t>(x), {}, packed[s].const_data_ptr<Sums<scalar_t>>(), kernel_of(weights[s])};
      conv.targets[s] = {y.data_ptr<scalar_t>() + first, before ? before + first : nullptr, y.stride(0),
                         pointer_to<Sums<scalar_t>>(biases[s])};
    }
    run_correlation(conv, call.stream());
  });
  return {y, before_silu};
}

/// The gradients of weight (in its shape) and bias, in the accumulation dtype.
std::tuple<at::Tensor, at::Tensor> weight_gradient(const Call& call, const at::Tensor& grad_y, const at::Tensor& x,
                                                   const at::Tensor& weight, const at::Tensor& before_silu) {
  const at::TensorOptions sums = sum_options(x);
  const std::int64_t channels = x.size(4), taps = weight.numel() / std::max<std::int64_t>(1, channels);
  const at::Tensor total = at::empty({taps + 1, channels}, sums);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, x.scalar_type(), "depthwise_conv3d_backward", [&] {
    using Value = Sums<scalar_t>;
    WeightGradient<scalar_t> gradient{geometry_of(x),
                                      volume_of<scalar_t>(x),
                                      volume_of<scalar_t>(grad_y),
                                      volume_of<scalar_t>(before_silu),
                                      kernel_of(weight),
                                      0,
                                      nullptr};
    gradient.parts_count = x.numel() > 0 ? weight_parts_count(gradient) : 0;
    const at::Tensor parts = at::empty({gradient.parts_count, taps + 1, channels}, sums);
    gradient.parts = pointer_to<Value>(parts);
    if (gradient.parts_count > 0) run_weight_gradient(gradient, call.stream());
    cuda::sum_parts<Value, Value>(
        {gradient.parts, gradient.parts_count, total.numel(), false, pointer_to<Value>(total)}, call.stream());
  });
  return {total.narrow(0, 0, taps).t().reshape(weight.sizes()), total.select(0, taps)};
}

struct ScaleGradients {
  at::Tensor x;
  std::vector<at::Tensor> weights, biases;
};

/// The gradients of all scales; grad_y and before_silu of each of them.
ScaleGradients scale_gradients(const std::vector<at::Tensor>& grad_y, const at::Tensor& x_, at::TensorList weights,
                               const std::vector<at::Tensor>& before_silu) {
  const Call call(x_);
  const at::Tensor x = with_dense_rows(x_);
  ScaleGradients out{at::empty(x.sizes(), x.options()), {}, {}};
  std::vector<at::Tensor> packed;
  for (std::size_t s = 0; s < weights.size(); ++s) {
    packed.push_back(pack(weights[s], sum_options(x), true));
    const auto [of_weight, of_bias] = weight_gradient(call, grad_y[s], x, weights[s], before_silu[s]);
    out.weights.push_back(of_weight);
    out.biases.push_back(of_bias);
  }
  if (x.numel() == 0) return out;
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, x.scalar_type(), "depthwise_conv3d_backward", [&] {
    Correlation<scalar_t> conv{geometry_of(x), static_cast<int>(weights.size()), weights.size() > 1};
    for (std::size_t s = 0; s < weights.size(); ++s)
      conv.sources[s] = {volume_of<scalar_t>(grad_y[s]), volume_of<scalar_t>(before_silu[s]),
                         packed[s].const_data_ptr<Sums<scalar_t>>(), kernel_of(weights[s])};
    conv.targets[0] = {out.x.data_ptr<scalar_t>(), nullptr, out.x.stride(0), nullptr};
    run_correlation(conv, call.stream());
  });
  return out;
}

BackwardResult backward_cuda(const at::Tensor& grad_y, const at::Tensor& x, at::TensorList weights,
                             const OptionalTensor& before_silu) {
  std::vector<at::Tensor> grads, before;
  for (std::int64_t s = 0; s < grad_y.size(1); ++s) {
    grads.push_back(with_dense_rows(grad_y.select(1, s)));
    before.push_back(before_silu ? with_dense_rows(before_silu->select(1, s)) : at::Tensor());
  }
  const ScaleGradients out = scale_gradients(grads, x, weights, before);
  return {out.x, out.weights, out.biases};
}

}  // namespace
}  // namespace m3d::depthwise_conv3d_operators

void m3d::cuda::register_depthwise_conv3d(torch::Library& m) {
  m.impl("depthwise_conv3d_forward", depthwise_conv3d_operators::forward_cuda);
  m.impl("depthwise_conv3d_backward", depthwise_conv3d_operators::backward_cuda);
}
