// The depthwise convolution on CPU. A piece of work is a batch, a group of channels and a box of voxels, whatever the
// number of threads; hence the same bits.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "kernels/checks.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_loops.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_operators.h"
#include "kernels/parallel.h"
#include "kernels/simd/choose.h"
#include "kernels/simd/storage_types.h"
#include "kernels/simd/tensor_view.h"

namespace m3d::depthwise_conv3d_operators {
namespace {

using namespace depthwise_conv3d_loops;

template <class T, class S>
const Loops<T, S>& loops() {
  return M3D_CHOOSE(table, T, S);
}

template <class T>
Volume<T> volume_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {static_cast<T*>(tensor.data_ptr()), tensor.stride(0), tensor.stride(1), tensor.stride(2), tensor.stride(3)};
}

Kernel kernel_of(const at::Tensor& weight) {
  return {static_cast<int>(weight.size(2)), static_cast<int>(weight.size(3)), static_cast<int>(weight.size(4))};
}

/// rings: volumes of which the loops keep the planes around the one being computed.
Geometry geometry_of(const at::Tensor& x, at::TensorList weights, int rings) {
  TORCH_CHECK(weights.size() <= kMaxScales, "depthwise_conv3d: at most ", kMaxScales, " weights");
  Geometry geometry{.batch = x.size(0),
                    .depth = x.size(1),
                    .height = x.size(2),
                    .width = x.size(3),
                    .channels = x.size(4),
                    .scales = static_cast<int>(weights.size()),
                    .kernel = {},
                    .largest = {},
                    .rings = rings};
  for (std::size_t s = 0; s < weights.size(); ++s) {
    const Kernel kernel = geometry.kernel[s] = kernel_of(weights[s]);
    Kernel& largest = geometry.largest;
    largest = {std::max(largest.depth, kernel.depth), std::max(largest.height, kernel.height),
               std::max(largest.width, kernel.width)};
  }
  return geometry;
}

std::int64_t groups_of(const Geometry& geometry, int lanes) { return (geometry.channels + lanes - 1) / lanes; }

/// [C, 1, kd, kh, kw] as [groups, taps, lanes], with zeros for the channels that fill the last group.
at::Tensor pack(const at::Tensor& weight, int lanes, bool flip) {
  const std::int64_t channels = weight.size(0), taps = kernel_of(weight).taps();
  const std::int64_t groups = (channels + lanes - 1) / lanes;
  at::Tensor packed = weight.reshape({channels, taps}).t();  // [taps, C]
  if (flip) packed = packed.flip(0);
  packed = at::constant_pad_nd(packed, {0, groups * lanes - channels});
  return packed.reshape({taps, groups, lanes}).transpose(0, 1).contiguous();
}

/// piece(Piece, scratch) for every piece, on all threads. Neighbouring groups of channels follow each other: their
/// voxels are neighbours in memory.
template <class T, class S, class Run>
void for_each_box(const Geometry& geometry, const at::TensorOptions& options, const Run& run) {
  const std::int64_t groups = groups_of(geometry, loops<T, S>().lanes), tiles = geometry.tiles();
  const std::int64_t voxels = std::min(geometry.depth, kDepthTile) * geometry.tile_height() * geometry.width;
  const std::int64_t work = voxels * loops<T, S>().lanes * geometry.largest.taps();
  for_each_piece(geometry.batch * groups * tiles, work, [&](std::int64_t begin, std::int64_t end) {
    const at::Tensor scratch = at::empty({loops<T, S>().scratch_size(geometry)}, options);
    for (std::int64_t i = begin; i < end; ++i)
      run(Piece{i / (groups * tiles), i % groups, i / groups % tiles}, scratch.data_ptr<T>());
  });
}

ForwardResult forward_cpu(const at::Tensor& x_, at::TensorList weights, const OptionalTensors& biases, bool silu,
                          bool keep_before_silu) {
  const at::Tensor x = with_dense_rows(x_);
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes.insert(sizes.begin() + 1, static_cast<std::int64_t>(weights.size()));
  const at::Tensor y = at::empty(sizes, x.options());
  const bool keep = silu && keep_before_silu;
  const at::Tensor before_silu = at::empty(keep ? at::IntArrayRef(sizes) : at::IntArrayRef{0}, x.options());
  with_storage("depthwise_conv3d", x.scalar_type(), [&]<class T, class S>() {
    std::vector<at::Tensor> alive;
    Forward<T, S> conv{geometry_of(x, weights, 1), volume_of<const S>(x), silu, {}};
    for (std::size_t s = 0; s < weights.size(); ++s) {
      const auto scale = static_cast<std::int64_t>(s);
      const OptionalTensor bias = biases[s];
      const at::Tensor packed = alive.emplace_back(pack(weights[s], loops<T, S>().lanes, false));
      const at::Tensor dense_bias = alive.emplace_back(bias ? bias->contiguous() : at::Tensor());
      conv.scale[s] = {values_of<T>(packed), values_of<T>(dense_bias), volume_of<S>(y.select(1, scale)),
                       keep ? volume_of<S>(before_silu.select(1, scale)) : Volume<S>{}};
    }
    for_each_box<T, S>(conv, weights[0].options(),
                       [&](const Piece& piece, T* scratch) { loops<T, S>().forward(conv, piece, scratch); });
  });
  return {y, before_silu};
}

BackwardResult backward_cpu(const at::Tensor& grad_y_, const at::Tensor& x_, at::TensorList weights,
                            const OptionalTensor& before_silu_) {
  const at::Tensor x = with_dense_rows(x_), grad_y = with_dense_rows(grad_y_);
  const at::Tensor before_silu = before_silu_ ? before_silu_->contiguous() : at::Tensor();
  const at::Tensor grad_x = at::empty(x.sizes(), x.options());
  const Geometry geometry = geometry_of(x, weights, 1 + static_cast<int>(weights.size()));
  std::vector<at::Tensor> parts, grad_weights, grad_biases;
  for (const at::Tensor& weight : weights)
    parts.push_back(empty_parts(geometry.batch * geometry.tiles(), {kernel_of(weight).taps() + 1, geometry.channels},
                                weight.options()));
  with_storage("depthwise_conv3d", x.scalar_type(), [&]<class T, class S>() {
    std::vector<at::Tensor> alive;
    Backward<T, S> conv{geometry, volume_of<const S>(x), volume_of<S>(grad_x), {}};
    for (std::size_t s = 0; s < weights.size(); ++s) {
      const auto scale = static_cast<std::int64_t>(s);
      const at::Tensor packed = alive.emplace_back(pack(weights[s], loops<T, S>().lanes, true));
      conv.scale[s] = {values_of<T>(packed),
                       before_silu_ ? volume_of<const S>(before_silu.select(1, scale)) : Volume<const S>{},
                       volume_of<const S>(grad_y.select(1, scale)), parts[s].data_ptr<T>()};
    }
    for_each_box<T, S>(geometry, weights[0].options(),
                       [&](const Piece& piece, T* scratch) { loops<T, S>().backward(conv, piece, scratch); });
  });
  for (std::size_t s = 0; s < weights.size(); ++s) {
    const at::Tensor sum = sum_in_order(parts[s], 0);
    const std::int64_t taps = kernel_of(weights[s]).taps();
    grad_weights.push_back(sum.narrow(0, 0, taps).t().reshape(weights[s].sizes()));
    grad_biases.push_back(sum.select(0, taps));
  }
  return {grad_x, grad_weights, grad_biases};
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CPU, m) {
  m.impl("depthwise_conv3d_forward", forward_cpu);
  m.impl("depthwise_conv3d_backward", backward_cpu);
}

}  // namespace m3d::depthwise_conv3d_operators
