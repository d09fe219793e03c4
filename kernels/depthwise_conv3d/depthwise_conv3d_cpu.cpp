// The depthwise convolution on CPU. A piece of work is a batch, a group of channels and a box of voxels, whatever the
// number of threads; hence the same bits.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/library.h>

#include "kernels/checks.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_loops.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_operators.h"
#include "kernels/parallel.h"
#include "kernels/simd/choose.h"
#include "kernels/simd/tensor_view.h"

namespace m3d::depthwise_conv3d_operators {
namespace {

using namespace depthwise_conv3d_loops;

template <class T>
const Loops<T>& loops() {
  return M3D_CHOOSE(table, T);
}

template <class T>
Volume<T> volume_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {tensor.data_ptr<std::remove_const_t<T>>(), tensor.stride(0), tensor.stride(1), tensor.stride(2),
          tensor.stride(3)};
}

Geometry geometry_of(const at::Tensor& x, const at::Tensor& weight) {
  return {.batch = x.size(0),
          .depth = x.size(1),
          .height = x.size(2),
          .width = x.size(3),
          .channels = x.size(4),
          .kernel_depth = static_cast<int>(weight.size(2)),
          .kernel_height = static_cast<int>(weight.size(3)),
          .kernel_width = static_cast<int>(weight.size(4))};
}

std::int64_t groups_of(const Geometry& geometry, int lanes) { return (geometry.channels + lanes - 1) / lanes; }

/// [C, 1, kd, kh, kw] as [groups, taps, lanes], with zeros for the channels that fill the last group.
at::Tensor pack(const at::Tensor& weight, const Geometry& geometry, int lanes, bool flip) {
  const std::int64_t groups = groups_of(geometry, lanes);
  at::Tensor taps = weight.reshape({geometry.channels, geometry.taps()}).t();  // [taps, C]
  if (flip) taps = taps.flip(0);
  taps = at::constant_pad_nd(taps, {0, groups * lanes - geometry.channels});
  return taps.reshape({geometry.taps(), groups, lanes}).transpose(0, 1).contiguous();
}

/// piece(Piece, scratch) for every piece, on all threads.
template <class T, class Run>
void for_each_box(const Geometry& geometry, const at::TensorOptions& options, const Run& run) {
  const std::int64_t groups = groups_of(geometry, loops<T>().lanes), tiles = geometry.tiles();
  const std::int64_t voxels = std::min(geometry.depth, kDepthTile) * geometry.tile_height() * geometry.width;
  const std::int64_t work = voxels * loops<T>().lanes * geometry.taps();
  for_each_piece(geometry.batch * groups * tiles, work, [&](std::int64_t begin, std::int64_t end) {
    const at::Tensor scratch = at::empty({loops<T>().scratch_size(geometry)}, options);
    for (std::int64_t i = begin; i < end; ++i)
      run(Piece{i / (groups * tiles), i / tiles % groups, i % tiles}, scratch.data_ptr<T>());
  });
}

ForwardResult forward_cpu(const at::Tensor& x_, const at::Tensor& weight, const OptionalTensor& bias_, bool silu,
                          bool keep_before_silu) {
  const at::Tensor x = with_dense_rows(x_), bias = bias_ ? bias_->contiguous() : at::Tensor();
  const at::Tensor y = at::empty(x.sizes(), x.options());
  const bool keep = silu && keep_before_silu;
  const at::Tensor before_silu = keep ? at::empty(x.sizes(), x.options()) : at::empty({0}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "depthwise_conv3d", [&] {
    const Geometry geometry = geometry_of(x, weight);
    const at::Tensor packed = pack(weight, geometry, loops<scalar_t>().lanes, false);
    const Forward<scalar_t> conv{geometry,
                                 volume_of<const scalar_t>(x),
                                 values_of<scalar_t>(packed),
                                 values_of<scalar_t>(bias),
                                 silu,
                                 volume_of<scalar_t>(y),
                                 volume_of<scalar_t>(keep ? before_silu : at::Tensor())};
    for_each_box<scalar_t>(geometry, x.options(), [&](const Piece& piece, scalar_t* scratch) {
      loops<scalar_t>().forward(conv, piece, scratch);
    });
  });
  return {y, before_silu};
}

BackwardResult backward_cpu(const at::Tensor& grad_y_, const at::Tensor& x_, const at::Tensor& weight,
                            const OptionalTensor& before_silu_) {
  const at::Tensor x = with_dense_rows(x_), grad_y = with_dense_rows(grad_y_);
  const at::Tensor before_silu = before_silu_ ? before_silu_->contiguous() : at::Tensor();
  const at::Tensor grad_x = at::empty(x.sizes(), x.options());
  const Geometry geometry = geometry_of(x, weight);
  const at::Tensor parts =
      empty_parts(geometry.batch * geometry.tiles(), {geometry.taps() + 1, geometry.channels}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "depthwise_conv3d_backward", [&] {
    const at::Tensor packed = pack(weight, geometry, loops<scalar_t>().lanes, true);
    const Backward<scalar_t> conv{geometry,
                                  volume_of<const scalar_t>(x),
                                  values_of<scalar_t>(packed),
                                  volume_of<const scalar_t>(before_silu),
                                  volume_of<const scalar_t>(grad_y),
                                  volume_of<scalar_t>(grad_x),
                                  parts.data_ptr<scalar_t>()};
    for_each_box<scalar_t>(geometry, x.options(), [&](const Piece& piece, scalar_t* scratch) {
      loops<scalar_t>().backward(conv, piece, scratch);
    });
  });
  const at::Tensor sum = sum_in_order(parts, 0);
  return {grad_x, sum.narrow(0, 0, geometry.taps()).t().reshape(weight.sizes()), sum.select(0, geometry.taps())};
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CPU, m) {
  m.impl("depthwise_conv3d_forward", forward_cpu);
  m.impl("depthwise_conv3d_backward", backward_cpu);
}

}  // namespace m3d::depthwise_conv3d_operators
