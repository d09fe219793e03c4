#include "architectures/meta_kernels.h"

#include <ATen/Parallel.h>
#include <ATen/SDPBackend.h>
#include <ATen/ops/_fused_sdp_choice_native.h>
#include <torch/library.h>

#include <algorithm>
#include <array>

namespace m3d {
namespace {

std::int64_t item(at::IntArrayRef values, std::size_t axis) { return values.size() == 1 ? values[0] : values[axis]; }

at::Tensor convolution_meta(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>&,
                            at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                            at::IntArrayRef output_padding, std::int64_t groups) {
  std::vector<std::int64_t> sizes{x.size(0), transposed ? weight.size(1) * groups : weight.size(0)};
  for (std::int64_t axis = 0; axis + 2 < x.dim(); ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    const std::int64_t reach = item(dilation, i) * (weight.size(axis + 2) - 1), size = x.size(axis + 2);
    sizes.push_back(transposed
                        ? (size - 1) * item(stride, i) - 2 * item(padding, i) + reach + item(output_padding, i) + 1
                        : (size + 2 * item(padding, i) - reach - 1) / item(stride, i) + 1);
  }
  return at::empty(sizes, x.options().device(at::kMeta), x.suggest_memory_format());
}

using ThreeTensors = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

ThreeTensors like_input(const at::Tensor& x) {
  return {at::empty_like(x), at::empty({0}, x.options()), at::empty({0}, x.options())};
}

ThreeTensors batch_norm_meta(const at::Tensor& x, const std::optional<at::Tensor>&, const std::optional<at::Tensor>&,
                             const std::optional<at::Tensor>&, const std::optional<at::Tensor>&, bool, double, double) {
  return like_input(x);
}

ThreeTensors layer_norm_meta(const at::Tensor& x, at::IntArrayRef, const std::optional<at::Tensor>&,
                             const std::optional<at::Tensor>&, double) {
  return like_input(x);
}

ThreeTensors group_norm_meta(const at::Tensor& x, const std::optional<at::Tensor>&, const std::optional<at::Tensor>&,
                             std::int64_t, std::int64_t, std::int64_t, std::int64_t, double) {
  return like_input(x);
}

at::Tensor empty_if(bool wanted, const at::Tensor& like) { return wanted ? at::empty_like(like) : at::Tensor(); }

ThreeTensors convolution_backward_meta(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight,
                                       at::OptionalIntArrayRef, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, bool,
                                       at::IntArrayRef, std::int64_t, std::array<bool, 3> wanted) {
  return {empty_if(wanted[0], x), empty_if(wanted[1], weight),
          wanted[2] ? at::empty({gradient.size(1)}, gradient.options()) : at::Tensor()};
}

/// Of a normalisation with `channels` weights and biases.
ThreeTensors norm_gradients(const at::Tensor& x, std::int64_t channels, const std::array<bool, 3>& wanted) {
  const auto of_channels = [&](bool is_wanted) {
    return is_wanted ? at::empty({channels}, x.options()) : at::Tensor();
  };
  return {empty_if(wanted[0], x), of_channels(wanted[1]), of_channels(wanted[2])};
}

using Optional = std::optional<at::Tensor>;

ThreeTensors batch_norm_backward_meta(const at::Tensor&, const at::Tensor& x, const Optional&, const Optional&,
                                      const Optional&, const Optional&, const Optional&, bool, double,
                                      std::array<bool, 3> wanted) {
  return norm_gradients(x, x.size(1), wanted);
}

ThreeTensors layer_norm_backward_meta(const at::Tensor&, const at::Tensor& x, at::IntArrayRef shape, const at::Tensor&,
                                      const at::Tensor&, const Optional&, const Optional&, std::array<bool, 3> wanted) {
  return norm_gradients(x, shape.back(), wanted);
}

ThreeTensors group_norm_backward_meta(const at::Tensor&, const at::Tensor& x, const at::Tensor&, const at::Tensor&,
                                      const Optional&, std::int64_t, std::int64_t channels, std::int64_t, std::int64_t,
                                      std::array<bool, 3> wanted) {
  return norm_gradients(x, channels, wanted);
}

at::Tensor index_select_meta(const at::Tensor& x, std::int64_t axis, const at::Tensor& index) {
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes[static_cast<std::size_t>(axis < 0 ? axis + x.dim() : axis)] = index.numel();
  return at::empty(sizes, x.options());
}

std::tuple<at::Tensor, at::Tensor> var_mean_meta(const at::Tensor& x, at::OptionalIntArrayRef axes,
                                                 const std::optional<at::Scalar>&, bool keep_axes) {
  const auto mean = x.mean(axes, keep_axes);
  return {at::empty_like(mean), mean};
}

at::Tensor safe_softmax_meta(const at::Tensor& x, std::int64_t, std::optional<at::ScalarType> dtype) {
  return at::empty_like(x, x.options().dtype(dtype.value_or(x.scalar_type())));
}

at::Tensor grid_sampler_meta(const at::Tensor& x, const at::Tensor& grid, std::int64_t, std::int64_t, bool) {
  return at::empty({x.size(0), x.size(1), grid.size(1), grid.size(2), grid.size(3)}, x.options());
}

std::tuple<at::Tensor, at::Tensor> grid_sampler_backward_meta(const at::Tensor&, const at::Tensor& x,
                                                              const at::Tensor& grid, std::int64_t, std::int64_t, bool,
                                                              std::array<bool, 2>) {
  return {at::empty(x.sizes(), x.options()), at::empty(grid.sizes(), grid.options())};
}

at::Tensor relu_meta(const at::Tensor& x) { return at::empty_like(x); }

at::Tensor& in_place_meta(at::Tensor& x) { return x; }

at::Tensor like_second(const at::Tensor&, const at::Tensor& x) { return at::empty_like(x); }

at::Tensor unfold_backward_meta(const at::Tensor& gradient, at::IntArrayRef sizes, std::int64_t, std::int64_t,
                                std::int64_t) {
  return at::empty(sizes, gradient.options());
}

at::Tensor embedding_backward_meta(const at::Tensor& gradient, const at::Tensor&, std::int64_t rows, std::int64_t,
                                   bool) {
  return at::empty({rows, gradient.size(-1)}, gradient.options());
}

/// The second tensor is what the CPU's backward pass reads.
std::tuple<at::Tensor, at::Tensor> log_sigmoid_meta(const at::Tensor& x) {
  return {at::empty_like(x), at::empty_like(x)};
}

at::Tensor log_sigmoid_backward_meta(const at::Tensor&, const at::Tensor& x, const at::Tensor&) {
  return at::empty_like(x);
}

/// Scratch of the CPU's fused attention, one block of scores a thread (FlashAttentionKernel.cpp): short-lived, and no
/// more than that however long the sequences are.
at::Tensor attention_scratch(const at::Tensor& query, const at::Tensor& key, std::int64_t blocks) {
  const std::int64_t queries = query.size(2), head = query.size(3);
  const std::int64_t rows = std::min<std::int64_t>(queries >= 768 ? 256 : queries >= 192 ? 64 : 32, queries);
  const std::int64_t columns = std::min<std::int64_t>(512, key.size(2));
  return at::empty({at::get_num_threads(), blocks * rows * columns + rows * (2 + head)}, query.options());
}

std::tuple<at::Tensor, at::Tensor> fused_attention_meta(const at::Tensor& query, const at::Tensor& key,
                                                        const at::Tensor&, double, bool, const Optional&,
                                                        std::optional<double>) {
  const auto out = at::empty_like(query);
  const auto log_sum = at::empty({query.size(0), query.size(2), query.size(1)}, query.options()).transpose(1, 2);
  attention_scratch(query, key, /*blocks=*/1);
  return {out, log_sum};
}

/// The CPU's: rows of tokens, the heads within them.
at::Tensor attention_gradient(const at::Tensor& x) {
  return at::empty({x.size(0), x.size(2), x.size(1), x.size(3)}, x.options()).transpose(1, 2);
}

ThreeTensors fused_attention_backward_meta(const at::Tensor&, const at::Tensor& query, const at::Tensor& key,
                                           const at::Tensor& value, const at::Tensor&, const at::Tensor&, double, bool,
                                           const Optional&, std::optional<double>) {
  const ThreeTensors gradients = {attention_gradient(query), attention_gradient(key), attention_gradient(value)};
  attention_scratch(query, key, /*blocks=*/2);
  return gradients;
}

/// The way that the CPU would take: LibTorch itself takes meta tensors through the form that keeps every score.
at::Tensor attention_meta(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Optional& mask,
                          double dropout, bool is_causal, std::optional<double> scale, bool grouped) {
  const auto way = static_cast<at::SDPBackend>(
      at::native::_fused_sdp_choice_cpp(query, key, value, mask, dropout, is_causal, scale, grouped));
  if (way == at::SDPBackend::flash_attention)
    return std::get<0>(
        at::_scaled_dot_product_flash_attention_for_cpu(query, key, value, dropout, is_causal, mask, scale));
  return std::get<0>(at::_scaled_dot_product_attention_math(query, key, value, mask, dropout, is_causal, {}, scale));
}

at::Tensor flip_meta(const at::Tensor& x, at::IntArrayRef) { return at::empty_like(x); }

}  // namespace

at::Tensor convolution_output(at::ArrayRef<const c10::IValue> arguments) {
  return convolution_meta(arguments[0].toTensor(), arguments[1].toTensor(), std::nullopt, arguments[3].toIntVector(),
                          arguments[4].toIntVector(), arguments[5].toIntVector(), arguments[6].toBool(),
                          arguments[7].toIntVector(), arguments[8].toInt());
}

void register_meta_kernels() {
  static const torch::Library library = [] {
    torch::Library aten(torch::Library::IMPL, "aten", c10::DispatchKey::Meta, __FILE__, __LINE__);
    aten.impl("convolution", convolution_meta);
    aten.impl("native_batch_norm", batch_norm_meta);
    aten.impl("native_layer_norm", layer_norm_meta);
    aten.impl("native_group_norm", group_norm_meta);
    aten.impl("var_mean.correction", var_mean_meta);
    aten.impl("_safe_softmax", safe_softmax_meta);
    aten.impl("grid_sampler_3d", grid_sampler_meta);
    aten.impl("grid_sampler_3d_backward", grid_sampler_backward_meta);
    aten.impl("relu", relu_meta);
    aten.impl("relu_", in_place_meta);
    aten.impl("hardswish_", in_place_meta);
    aten.impl("_scaled_dot_product_flash_attention_for_cpu", fused_attention_meta);
    aten.impl("_scaled_dot_product_flash_attention_for_cpu_backward", fused_attention_backward_meta);
    aten.impl("flip", flip_meta);
    aten.impl("hardswish_backward", like_second);
    aten.impl("log_sigmoid_forward", log_sigmoid_meta);
    aten.impl("log_sigmoid_backward", log_sigmoid_backward_meta);
    aten.impl("embedding_dense_backward", embedding_backward_meta);
    aten.impl("unfold_backward", unfold_backward_meta);
    aten.impl("index_select", index_select_meta);
    aten.impl("convolution_backward", convolution_backward_meta);
    aten.impl("native_batch_norm_backward", batch_norm_backward_meta);
    aten.impl("native_layer_norm_backward", layer_norm_backward_meta);
    aten.impl("native_group_norm_backward", group_norm_backward_meta);
    return aten;
  }();
  static const torch::Library differentiable = [] {
    torch::Library aten(torch::Library::IMPL, "aten", c10::DispatchKey::AutogradMeta, __FILE__, __LINE__);
    aten.impl("scaled_dot_product_attention", attention_meta);
    return aten;
  }();
}

}  // namespace m3d
