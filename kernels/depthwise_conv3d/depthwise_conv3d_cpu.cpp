// The depthwise convolution on CPU. A piece of work is a batch, a group of channels and a box of voxels, whatever the
// number of threads; hence the same bits.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>

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

/// visit(tap, offset) for the taps of a weight in their order, with the offset of each from the channel's first value.
template <class Visit>
void for_each_tap(const at::Tensor& weight, const Visit& visit) {
  const Kernel kernel = kernel_of(weight);
  const std::int64_t depth_stride = weight.stride(2), row_stride = weight.stride(3), stride = weight.stride(4);
  std::int64_t tap = 0;
  for (std::int64_t z = 0; z < kernel.depth; ++z)
    for (std::int64_t y = 0; y < kernel.height; ++y)
      for (std::int64_t x = 0; x < kernel.width; ++x) visit(tap++, z * depth_stride + y * row_stride + x * stride);
}

/// Multiply-adds in whose time a value is moved from one layout to another.
constexpr std::int64_t kScattered = 8;

/// [C, 1, kd, kh, kw] as [groups, taps, lanes], with zeros for the channels that fill the last group. In one pass,
/// whatever the strides: layers of few voxels would else take longer over this than over the convolution.
template <class T>
at::Tensor pack(const at::Tensor& weight, int lanes, bool flip) {
  const std::int64_t channels = weight.size(0), taps = kernel_of(weight).taps();
  const std::int64_t groups = (channels + lanes - 1) / lanes, stride = weight.stride(0);
  const at::Tensor packed = at::empty({groups, taps, lanes}, weight.options());
  const T* const from = weight.const_data_ptr<T>();
  T* const to = packed.data_ptr<T>();
  for_each_piece(groups, taps * lanes * kScattered, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t group = begin; group < end; ++group) {
      const std::int64_t first = group * lanes, count = std::min<std::int64_t>(lanes, channels - first);
      for_each_tap(weight, [&](std::int64_t tap, std::int64_t offset) {
        T* const row = to + (group * taps + (flip ? taps - 1 - tap : tap)) * lanes;
        for (std::int64_t lane = 0; lane < count; ++lane) row[lane] = from[(first + lane) * stride + offset];
        std::fill(row + count, row + lanes, T(0));
      });
    }
  });
  return packed;
}

/// [taps, C] in the shape and strides of the weight: what it is a view of gets its gradient without a copy.
template <class T>
at::Tensor unpack(const at::Tensor& sums, const at::Tensor& weight) {
  const at::Tensor gradient = at::empty_like(weight, weight.options(), at::MemoryFormat::Preserve);
  const std::int64_t channels = weight.size(0), stride = gradient.stride(0);
  const T* const from = sums.const_data_ptr<T>();
  T* const to = gradient.data_ptr<T>();
  for_each_piece(channels, kernel_of(weight).taps() * kScattered, [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t together = 16;  // channels, that both sides' cache lines are used whole
    for (std::int64_t first = begin; first < end; first += together)
      for_each_tap(gradient, [&](std::int64_t tap, std::int64_t offset) {
        for (std::int64_t c = first; c < std::min(first + together, end); ++c)
          to[c * stride + offset] = from[tap * channels + c];
      });
  });
  return gradient;
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
      const at::Tensor packed = alive.emplace_back(pack<T>(weights[s], loops<T, S>().lanes, false));
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
      const at::Tensor packed = alive.emplace_back(pack<T>(weights[s], loops<T, S>().lanes, true));
      conv.scale[s] = {values_of<T>(packed),
                       before_silu_ ? volume_of<const S>(before_silu.select(1, scale)) : Volume<const S>{},
                       volume_of<const S>(grad_y.select(1, scale)), parts[s].data_ptr<T>()};
    }
    for_each_box<T, S>(geometry, weights[0].options(),
                       [&](const Piece& piece, T* scratch) { loops<T, S>().backward(conv, piece, scratch); });
  });
  for (std::size_t s = 0; s < weights.size(); ++s) {
    const at::Tensor sums = sum_in_order(parts[s], 0);
    const auto unpacked = sums.scalar_type() == at::kDouble ? unpack<double> : unpack<float>;
    grad_weights.push_back(unpacked(sums, weights[s]));
    grad_biases.push_back(sums.select(0, kernel_of(weights[s]).taps()).clone());  // a view would keep all of it
  }
  return {grad_x, grad_weights, grad_biases};
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CPU, m) {
  m.impl("depthwise_conv3d_forward", forward_cpu);
  m.impl("depthwise_conv3d_backward", backward_cpu);
}

}  // namespace m3d::depthwise_conv3d_operators
