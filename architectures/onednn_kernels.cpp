#include "architectures/onednn_kernels.h"

#include <ATen/ATen.h>
#include <ATen/native/ConvUtils.h>
#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/convolution_backward_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/mm_cpu_dispatch.h>
#include <ATen/ops/slow_conv3d_forward_cpu_dispatch.h>
#include <ATen/ops/slow_conv_transpose3d_cpu_dispatch.h>

#include <array>
#include <optional>
#include <tuple>

#include "architectures/few_voxel_convolution.h"
#include "architectures/kernel_override.h"

// Exported by LibTorch, whose wheel leaves out the header (ATen/native/mkldnn/Matmul.h): result = alpha a b + beta
// result, for two or three dimensions; either factor may be a transposed view.
namespace at::native {
void mkldnn_matmul(const Tensor& a, const Tensor& b, const Tensor& result, float beta, float alpha);
}

namespace m3d {
namespace {

using at::Tensor;

constexpr std::int64_t worthwhile = 1 << 20;  // multiply-adds; below, oneDNN's longer way to the first one shows

bool is_plain_float(const Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided && tensor.numel() > 0;
}

/// Contiguous matrices, or transposed views of such: what oneDNN takes without a copy.
bool has_plain_matrices(const Tensor& tensor) {
  return tensor.is_contiguous() || tensor.transpose(-2, -1).is_contiguous();
}

bool suits_product(const Tensor& a, const Tensor& b) {
  return is_plain_float(a) && is_plain_float(b) && a.numel() * b.size(-1) >= worthwhile && has_plain_matrices(a) &&
         has_plain_matrices(b) && at::globalContext().userEnabledMkldnn();
}

/// A weight's gradient with few columns, as that of a scan's step: oneDNN's vectors run along the columns, so that it
/// is faster the other way round, three times for three columns.
bool turns(const Tensor& a, const Tensor& b) { return b.size(1) <= 16 && a.size(0) > 16 && !a.is_contiguous(); }

/// a b as a view of bᵀ aᵀ.
Tensor turned_product(const Tensor& a, const Tensor& b) {
  Tensor result = at::empty({b.size(1), a.size(0)}, a.options());
  at::native::mkldnn_matmul(b.t(), a.t(), result, 0, 1);
  return result.t();
}

Tensor product(const Tensor& left, const Tensor& right) {
  Tensor a = left, b = right;
  // A factor that is part of the rows of another matrix, as the step of a scan is, is copied where it is the small one.
  const bool large = is_plain_float(a) && is_plain_float(b) && a.numel() * b.size(1) >= worthwhile;
  if (large && !has_plain_matrices(a) && a.numel() <= a.size(0) * b.size(1)) a = a.contiguous();
  if (large && !has_plain_matrices(b) && b.numel() <= a.numel()) b = b.contiguous();
  if (!suits_product(a, b)) return at::cpu::mm(a, b);
  if (turns(a, b)) return turned_product(a, b).contiguous();
  Tensor result = at::empty({a.size(0), b.size(1)}, a.options());
  at::native::mkldnn_matmul(a, b, result, 0, 1);
  return result;
}

Tensor& product_into(const Tensor& a, const Tensor& b, Tensor& result) {
  const bool fits = result.is_contiguous() && is_plain_float(result) && result.dim() == 2 &&
                    result.size(0) == a.size(0) && result.size(1) == b.size(1);
  if (!fits || !suits_product(a, b)) return at::cpu::mm_out(result, a, b);
  if (turns(a, b)) return result.copy_(turned_product(a, b));
  at::native::mkldnn_matmul(a, b, result, 0, 1);
  return result;
}

Tensor batched_product(const Tensor& a, const Tensor& b) {
  if (!suits_product(a, b)) return at::cpu::bmm(a, b);
  Tensor result = at::empty({a.size(0), a.size(1), b.size(2)}, a.options());
  at::native::mkldnn_matmul(a, b, result, 0, 1);
  return result;
}

/// A linear layer: the bias, one value a column, goes into oneDNN's pass over the result.
Tensor added_product(const Tensor& bias, const Tensor& a, const Tensor& b, const at::Scalar& beta,
                     const at::Scalar& alpha) {
  const bool is_layer = bias.dim() == 1 && bias.size(0) == b.size(1) && bias.is_contiguous() && a.is_contiguous() &&
                        b.t().is_contiguous() && beta.equal(1) && alpha.equal(1);
  if (!is_layer || !is_plain_float(bias) || !suits_product(a, b)) return at::cpu::addmm(bias, a, b, beta, alpha);
  static const auto linear =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
          .typed<Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, c10::string_view,
                        c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>)>();
  return linear.call(a, b.t(), bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

bool suits_convolution(const Tensor& input, const Tensor& weight, std::int64_t voxels) {
  return is_plain_float(input) && is_plain_float(weight) && weight.numel() * voxels >= worthwhile &&
         at::globalContext().userEnabledMkldnn();
}

std::int64_t voxels_of(const Tensor& volume) { return volume.numel() / volume.size(1); }

// The stubs' call operator is not exported, the functions that they hold are; oneDNN's are the same for every
// processor.
constexpr std::array<std::int64_t, 3> undilated{1, 1, 1};

Tensor convolution(const Tensor& input, const Tensor& weight, at::IntArrayRef kernel, const std::optional<Tensor>& bias,
                   at::IntArrayRef stride, at::IntArrayRef padding) {
  const std::int64_t outputs = voxels_of(input) / (stride[0] * stride[1] * stride[2]);
  if (!suits_convolution(input, weight, outputs))
    return at::cpu::slow_conv3d_forward(input, weight, kernel, bias, stride, padding);
  if (weight_outweighs_windows(weight, outputs)) return few_voxel_convolution(input, weight, bias, stride, padding);
  const auto format = input.suggest_memory_format();
  return at::mkldnn_convolution(input.contiguous(format), weight.contiguous(format), bias, padding, stride, undilated,
                                1);
}

Tensor transposed_convolution(const Tensor& input, const Tensor& weight, at::IntArrayRef kernel,
                              const std::optional<Tensor>& bias, at::IntArrayRef stride, at::IntArrayRef padding,
                              at::IntArrayRef output_padding, at::IntArrayRef dilation) {
  if (!suits_convolution(input, weight, voxels_of(input)))
    return at::cpu::slow_conv_transpose3d(input, weight, kernel, bias, stride, padding, output_padding, dilation);
  const auto format = input.suggest_memory_format();
  return at::native::mkldnn_convolution_transpose_stub.DEFAULT(input.contiguous(format), weight.contiguous(format),
                                                               bias, padding, output_padding, stride, dilation, 1);
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(const Tensor& gradient, const Tensor& input,
                                                        const Tensor& weight, at::OptionalIntArrayRef bias_sizes,
                                                        at::IntArrayRef stride, at::IntArrayRef padding,
                                                        at::IntArrayRef dilation, bool transposed,
                                                        at::IntArrayRef output_padding, std::int64_t groups,
                                                        std::array<bool, 3> wanted) {
  const auto backend = at::native::select_conv_backend(
      input, weight, std::nullopt, c10::fromIntArrayRefSlow(stride), c10::fromIntArrayRefSlow(padding),
      c10::fromIntArrayRefSlow(dilation), transposed, c10::fromIntArrayRefSlow(output_padding), groups,
      bias_sizes ? at::OptionalSymIntArrayRef(c10::fromIntArrayRefSlow(*bias_sizes)) : at::OptionalSymIntArrayRef());
  const bool unfolds =
      backend == at::native::ConvBackend::Slow3d || backend == at::native::ConvBackend::SlowTranspose3d;
  if (!unfolds || !is_plain_float(gradient) ||
      !suits_convolution(input, weight, voxels_of(transposed ? input : gradient)))
    return at::compositeexplicitautograd::convolution_backward(gradient, input, weight, bias_sizes, stride, padding,
                                                               dilation, transposed, output_padding, groups, wanted);
  if (!transposed && weight_outweighs_windows(weight, voxels_of(gradient)))
    return few_voxel_convolution_backward(gradient, input, weight, stride, padding, wanted);
  const auto format = input.suggest_memory_format();
  const auto values = input.contiguous(format), weights = weight.contiguous(format),
             slopes = gradient.contiguous(format);
  if (transposed)
    return at::native::mkldnn_convolution_transpose_backward_stub.DEFAULT(
        values, slopes, weights, padding, output_padding, stride, dilation, groups, wanted);
  return at::native::mkldnn_convolution_backward_stub.DEFAULT(values, slopes, weights, padding, stride, dilation,
                                                              groups, wanted);
}

}  // namespace

void register_onednn_kernels() {
  static const torch::Library library = cpu_kernels_instead([](torch::Library& aten) {
    aten.impl("mm", product);
    aten.impl("mm.out", product_into);
    aten.impl("bmm", batched_product);
    aten.impl("addmm", added_product);
    aten.impl("slow_conv3d_forward", convolution);
    aten.impl("slow_conv_transpose3d", transposed_convolution);
    aten.impl("convolution_backward", convolution_backward);
  });
}

}  // namespace m3d
