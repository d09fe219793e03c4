// The inner loops of the depthwise convolution. A vector holds neighbouring channels. A piece of work is one group of
// channels and a box of voxels; it walks along the depth with the planes it looks at in a ring, copied into dense
// vectors with their zero margins: no borders inside the loops, and no rows a power of two apart.
//
// Backward: p = dL/d(convolution) (through SiLU); dx is the convolution of p with the flipped kernel;
//     dweight[tap] = sum over voxels of p[voxel] x[voxel + tap - centre]
#include "kernels/depthwise_conv3d/depthwise_conv3d_loops.h"

#include "kernels/simd/vector.h"

namespace m3d::depthwise_conv3d_loops::M3D_ISA {
namespace {

using namespace m3d::M3D_ISA;

inline constexpr int kRow = 8;  // outputs in registers at once

/// The box of a piece, and the margins around it.
template <class T>
struct Box {
  Box(const Geometry& g, const Piece& piece)
      : batch(piece.batch),
        first_channel(piece.group * kLanes<T>),
        first_plane(piece.tile / g.height_tiles() * kDepthTile),
        first_row(piece.tile % g.height_tiles() * g.tile_height()),
        columns(g.width + g.kernel_width - 1) {
    const std::int64_t channels = g.channels - first_channel;
    count = static_cast<int>(channels < kLanes<T> ? channels : kLanes<T>);
    planes = g.depth - first_plane < kDepthTile ? g.depth - first_plane : kDepthTile;
    rows = g.height - first_row < g.tile_height() ? g.height - first_row : g.tile_height();
    if (rows < 0) rows = 0;
    plane_size = (g.tile_height() + g.kernel_height - 1) * columns;
  }
  std::int64_t batch, first_channel, first_plane, first_row, columns, planes, rows, plane_size;
  int count;
};

/// Copies plane `d` of the box with its margins; value(d, h, w) gives the vectors inside the volume.
template <class T, class Value>
M3D_INLINE void copy_plane(const Geometry& g, const Box<T>& box, std::int64_t d, Vector<T>* plane, const Value& value) {
  const std::int64_t margin_h = g.kernel_height / 2, margin_w = g.kernel_width / 2;
  for (std::int64_t r = 0; r < box.rows + g.kernel_height - 1; ++r, plane += box.columns) {
    const std::int64_t h = box.first_row + r - margin_h;
    const bool inside = h >= 0 && h < g.height;
    for (std::int64_t w = -margin_w; w < 0; ++w) plane[margin_w + w] = Vector<T>{};
    for (std::int64_t w = 0; w < g.width; ++w) plane[margin_w + w] = inside ? value(d, h, w) : Vector<T>{};
    for (std::int64_t w = g.width; w < g.width + margin_w; ++w) plane[margin_w + w] = Vector<T>{};
  }
}

template <class T>
M3D_INLINE Vector<T> load_voxel(const Volume<const T>& volume, const Box<T>& box, std::int64_t d, std::int64_t h,
                                std::int64_t w) {
  return load_lanes(volume.at(box.batch, d, h, w) + box.first_channel, box.count);
}

/// The planes around the one being computed.
template <class T>
struct Ring {
  Vector<T>* planes;
  std::int64_t plane_size;
  int depth;
  Vector<T>* at(std::int64_t d) const { return planes + d % depth * plane_size; }
};

/// What runs at plane d, when the planes from d - margin to d + margin are in the rings.
template <class T, class Load, class Compute>
M3D_INLINE void walk(const Geometry& g, const Box<T>& box, const Load& load, const Compute& compute) {
  const std::int64_t margin = g.kernel_depth / 2, end = box.first_plane + box.planes;
  const std::int64_t begin = box.first_plane > margin ? box.first_plane - margin : 0;
  std::int64_t loaded = begin;
  for (std::int64_t d = box.first_plane; d < end; ++d) {
    for (; loaded <= d + margin && loaded < g.depth; ++loaded) load(loaded);
    compute(d);
  }
}

/// The taps along the depth that meet the volume at plane d.
struct DepthTaps {
  DepthTaps(const Geometry& g, std::int64_t d) : margin(g.kernel_depth / 2) {
    first = d < margin ? margin - d : 0;
    end = g.depth - d + margin < g.kernel_depth ? g.depth - d + margin : g.kernel_depth;
  }
  std::int64_t margin, first, end;
};

/// Adds `taps` taps of one row of the kernel to `count` outputs that are neighbours.
template <class T, int count, int taps>
M3D_INLINE void add_taps(Vector<T>* sum, const Vector<T>* x, const Vector<T>* weight) {
#pragma GCC unroll 8
  for (int k = 0; k < taps; ++k)
#pragma GCC unroll 8
    for (int w = 0; w < count; ++w) sum[w] += weight[k] * x[w + k];
}

/// `count` neighbouring outputs in row r of plane d. width: of the kernel, 0 if not one of the usual.
template <class T, int count, int width>
M3D_INLINE void convolve(const Geometry& g, const Ring<T>& ring, const Box<T>& box, const Vector<T>* weight,
                         std::int64_t d, std::int64_t r, std::int64_t w, Vector<T>* out) {
  const DepthTaps taps(g, d);
  Vector<T> sum[count];
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) sum[k] = out[k];
  for (std::int64_t i = taps.first; i < taps.end; ++i) {
    const Vector<T>* plane = ring.at(d + i - taps.margin) + r * box.columns + w;
    for (std::int64_t j = 0; j < g.kernel_height; ++j) {
      const Vector<T>* row = plane + j * box.columns;
      const Vector<T>* row_weight = weight + (i * g.kernel_height + j) * g.kernel_width;
      if constexpr (width > 0) {
        add_taps<T, count, width>(sum, row, row_weight);
      } else {
        for (int k = 0; k < g.kernel_width; ++k) add_taps<T, count, 1>(sum, row + k, row_weight + k);
      }
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) out[k] = sum[k];
}

/// Plane d of the box: store(d, h, w, value) for every voxel.
template <class T, int width, class Store>
M3D_INLINE void convolve_plane(const Geometry& g, const Ring<T>& ring, const Box<T>& box, const Vector<T>* weight,
                               Vector<T> bias, std::int64_t d, const Store& store) {
  for (std::int64_t r = 0; r < box.rows; ++r) {
    Vector<T> out[kRow];
    std::int64_t w = 0;
    const auto finish = [&](int count) {
      for (int k = 0; k < count; ++k) store(d, box.first_row + r, w + k, out[k]);
    };
    for (; w + kRow <= g.width; w += kRow) {
      for (int k = 0; k < kRow; ++k) out[k] = bias;
      convolve<T, kRow, width>(g, ring, box, weight, d, r, w, out);
      finish(kRow);
    }
    for (; w < g.width; ++w) {
      out[0] = bias;
      convolve<T, 1, width>(g, ring, box, weight, d, r, w, out);
      finish(1);
    }
  }
}

/// Adds plane d's share of the gradients of `rows` kernel rows from j on. p and x are planes with margins.
template <class T, int width, int rows>
M3D_INLINE void add_weight_gradient(const Geometry& g, const Box<T>& box, const Vector<T>* p, const Vector<T>* x,
                                    std::int64_t j, Vector<T>* grad) {
  Vector<T> sum[rows][width]{};
  p += g.kernel_height / 2 * box.columns + g.kernel_width / 2;
  x += j * box.columns;
  for (std::int64_t r = 0; r < box.rows; ++r, p += box.columns, x += box.columns)
    for (std::int64_t w = 0; w < g.width; ++w) {
      const Vector<T> p_here = p[w];
#pragma GCC unroll 4
      for (int row = 0; row < rows; ++row)
#pragma GCC unroll 8
        for (int k = 0; k < width; ++k) sum[row][k] += p_here * x[row * box.columns + w + k];
    }
  for (int row = 0; row < rows; ++row)
    for (int k = 0; k < width; ++k) grad[(j + row) * g.kernel_width + k] += sum[row][k];
}

template <class T, int width>
M3D_INLINE void weight_gradient_plane(const Geometry& g, const Box<T>& box, const Ring<T>& p, const Ring<T>& x,
                                      std::int64_t d, Vector<T>* grad) {
  constexpr int together = kVectorBytes == 64 || width <= 3 ? 3 : 1;  // sums that fit the registers
  const DepthTaps taps(g, d);
  for (std::int64_t i = taps.first; i < taps.end; ++i) {
    const Vector<T>* plane = x.at(d + i - taps.margin);
    Vector<T>* plane_grad = grad + i * g.kernel_height * g.kernel_width;
    if constexpr (width > 0) {
      std::int64_t j = 0;
      for (; j + together <= g.kernel_height; j += together)
        add_weight_gradient<T, width, together>(g, box, p.at(d), plane, j, plane_grad);
      for (; j < g.kernel_height; ++j) add_weight_gradient<T, width, 1>(g, box, p.at(d), plane, j, plane_grad);
    } else {
      for (std::int64_t j = 0; j < g.kernel_height; ++j)
        for (int k = 0; k < g.kernel_width; ++k)
          add_weight_gradient<T, 1, 1>(g, box, p.at(d), plane + k, j, plane_grad + k);
    }
  }
}

template <class T>
void bias_gradient_plane(const Geometry& g, const Box<T>& box, const Vector<T>* p, Vector<T>& grad) {
  p += g.kernel_height / 2 * box.columns + g.kernel_width / 2;
  Vector<T> sum{};
  for (std::int64_t r = 0; r < box.rows; ++r)
    for (std::int64_t w = 0; w < g.width; ++w) sum += p[r * box.columns + w];
  grad += sum;
}

/// run.template operator()<width>() for the kernel's width, 0 for the unusual ones.
template <class Run>
M3D_INLINE void with_width(int width, const Run& run) {
  if (width == 3) return run.template operator()<3>();
  if (width == 5) return run.template operator()<5>();
  if (width == 7) return run.template operator()<7>();
  run.template operator()<0>();
}

template <class T>
std::int64_t ring_size(const Geometry& g) {
  return g.kernel_depth * (g.tile_height() + g.kernel_height - 1) * (g.width + g.kernel_width - 1);
}

template <class T>
void forward(const Forward<T>& conv, const Piece& piece, T* scratch) {
  const Box<T> box(conv, piece);
  const Ring<T> ring{reinterpret_cast<Vector<T>*>(scratch), box.plane_size, conv.kernel_depth};
  const auto* weight = reinterpret_cast<const Vector<T>*>(conv.weight) + piece.group * conv.taps();
  const Vector<T> bias = conv.bias ? load_lanes(conv.bias + box.first_channel, box.count) : Vector<T>{};
  const auto load = [&](std::int64_t d) {
    copy_plane<T>(conv, box, d, ring.at(d), [&](auto z, auto h, auto w) { return load_voxel(conv.x, box, z, h, w); });
  };
  const auto store = [&](std::int64_t d, std::int64_t h, std::int64_t w, Vector<T> y) {
    if (conv.before_silu.data) store_lanes(conv.before_silu.at(box.batch, d, h, w) + box.first_channel, y, box.count);
    store_lanes(conv.y.at(box.batch, d, h, w) + box.first_channel, conv.silu ? silu<T>(y) : y, box.count);
  };
  with_width(conv.kernel_width, [&]<int width>() {
    walk(conv, box, load, [&](auto d) { convolve_plane<T, width>(conv, ring, box, weight, bias, d, store); });
  });
}

template <class T>
void backward(const Backward<T>& conv, const Piece& piece, T* scratch) {
  const Box<T> box(conv, piece);
  const Ring<T> x{reinterpret_cast<Vector<T>*>(scratch), box.plane_size, conv.kernel_depth};
  const Ring<T> p{x.planes + ring_size<T>(conv), box.plane_size, conv.kernel_depth};
  Vector<T>* grad = p.planes + ring_size<T>(conv);  // [taps + 1]
  for (std::int64_t k = 0; k <= conv.taps(); ++k) grad[k] = Vector<T>{};
  const auto* weight = reinterpret_cast<const Vector<T>*>(conv.flipped_weight) + piece.group * conv.taps();
  const auto load = [&](std::int64_t d) {
    copy_plane<T>(conv, box, d, x.at(d), [&](auto z, auto h, auto w) { return load_voxel(conv.x, box, z, h, w); });
    copy_plane<T>(conv, box, d, p.at(d), [&](auto z, auto h, auto w) {
      const Vector<T> value = load_voxel(conv.grad_y, box, z, h, w);
      if (!conv.before_silu.data) return value;
      return Vector<T>(value * silu_derivative<T>(load_voxel(conv.before_silu, box, z, h, w)));
    });
  };
  const auto store = [&](std::int64_t d, std::int64_t h, std::int64_t w, Vector<T> value) {
    store_lanes(conv.grad_x.at(box.batch, d, h, w) + box.first_channel, value, box.count);
  };
  with_width(conv.kernel_width, [&]<int width>() {
    walk(conv, box, load, [&](auto d) {
      convolve_plane<T, width>(conv, p, box, weight, Vector<T>{}, d, store);
      weight_gradient_plane<T, width>(conv, box, p, x, d, grad);
      bias_gradient_plane<T>(conv, box, p.at(d), grad[conv.taps()]);
    });
  });
  T* part = conv.grad_parts + (piece.batch * conv.tiles() + piece.tile) * (conv.taps() + 1) * conv.channels;
  for (std::int64_t k = 0; k <= conv.taps(); ++k)
    store_lanes(part + k * conv.channels + box.first_channel, grad[k], box.count);
}

template <class T>
std::int64_t scratch_size(const Geometry& g) {
  return (2 * ring_size<T>(g) + g.taps() + 1) * kLanes<T>;
}

}  // namespace

template <class T>
Loops<T> table() {
  return {kLanes<T>, scratch_size<T>, forward<T>, backward<T>};
}
template Loops<float> table<float>();
template Loops<double> table<double>();

}  // namespace m3d::depthwise_conv3d_loops::M3D_ISA
