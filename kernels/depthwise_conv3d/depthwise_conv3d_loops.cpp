// The inner loops of the depthwise convolution. A vector holds neighbouring channels. A piece of work is one group of
// channels and a box of voxels; it walks along the depth with the planes it looks at in a ring, copied into dense
// vectors with their zero margins: no borders inside the loops, and no rows a power of two apart. Several kernels
// (scales) read the same ring, whose margins are the largest kernel's.
//
// Backward: p = dL/d(convolution) (through SiLU), a ring a scale; dx is the sum of the convolutions of the p with the
// flipped kernels;     dweight[tap] = sum over voxels of p[voxel] x[voxel + tap - centre]
#include "kernels/depthwise_conv3d/depthwise_conv3d_loops.h"

#include "kernels/simd/convert.h"

namespace m3d::depthwise_conv3d_loops::M3D_ISA {
namespace {

using namespace m3d::M3D_ISA;

/// Outputs in registers at once: enough sums to hide the latency of a multiply-add, twice if there are 32 registers.
inline constexpr int kBlock = kVectorBytes == 64 ? 16 : 8;

/// The box of a piece, and the margins around it.
template <class T>
struct Box {
  Box(const Geometry& g, const Piece& piece)
      : batch(piece.batch),
        first_channel(piece.group * kLanes<T>),
        first_plane(piece.tile / g.height_tiles() * kDepthTile),
        first_row(piece.tile % g.height_tiles() * g.tile_height()),
        columns(g.width + g.largest.width - 1) {
    const std::int64_t channels = g.channels - first_channel;
    count = static_cast<int>(channels < kLanes<T> ? channels : kLanes<T>);
    planes = g.depth - first_plane < kDepthTile ? g.depth - first_plane : kDepthTile;
    rows = g.height - first_row < g.tile_height() ? g.height - first_row : g.tile_height();
    if (rows < 0) rows = 0;
    plane_size = (g.tile_height() + g.largest.height - 1) * columns;
  }
  std::int64_t batch, first_channel, first_plane, first_row, columns, planes, rows, plane_size;
  int count;
};

template <class T, class Element>
M3D_INLINE Row<Element> row_of(const Volume<Element>& volume, const Box<T>& box, std::int64_t d, std::int64_t h) {
  return volume.row(box.batch, d, h, box.first_channel);
}

/// Copies a plane of the box with its margins; values_of(h) gives a function of w for the rows inside the volume.
template <class T, class ValuesOf>
M3D_INLINE void copy_plane(const Geometry& g, const Box<T>& box, Vector<T>* plane, const ValuesOf& values_of) {
  const std::int64_t margin_h = g.largest.height / 2, margin_w = g.largest.width / 2;
  for (std::int64_t r = 0; r < box.rows + g.largest.height - 1; ++r, plane += box.columns) {
    const std::int64_t h = box.first_row + r - margin_h;
    const bool inside = h >= 0 && h < g.height;
    const auto values = values_of(inside ? h : 0);
    Vector<T>* row = plane + margin_w;
    for (std::int64_t w = -margin_w; w < 0; ++w) row[w] = Vector<T>{};
    for (std::int64_t w = 0; w < g.width; ++w) row[w] = inside ? values(w) : Vector<T>{};
    for (std::int64_t w = g.width; w < g.width + margin_w; ++w) row[w] = Vector<T>{};
  }
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
  const std::int64_t margin = g.largest.depth / 2, end = box.first_plane + box.planes;
  const std::int64_t begin = box.first_plane > margin ? box.first_plane - margin : 0;
  std::int64_t loaded = begin;
  for (std::int64_t d = box.first_plane; d < end; ++d) {
    for (; loaded <= d + margin && loaded < g.depth; ++loaded) load(loaded);
    compute(d);
  }
}

/// The row that is copied next while row (d, h) is computed. To be prefetched: copying would else wait for every line.
/// Past the last plane it is harmless.
template <class T, class S>
M3D_INLINE Row<const S> row_ahead(const Volume<const S>& volume, const Geometry& g, const Box<T>& box, std::int64_t d,
                                  std::int64_t h) {
  return row_of(volume, box, d + g.largest.depth / 2 + 1, h);
}

template <class S>
M3D_INLINE void prefetch_voxel(const Row<const S>& row, std::int64_t w) {
  if (row.data) prefetch<false>(row.at(w));
}

/// The taps along the depth that meet the volume at plane d.
struct DepthTaps {
  DepthTaps(const Geometry& g, const Kernel& kernel, std::int64_t d) : margin(kernel.depth / 2) {
    first = d < margin ? margin - d : 0;
    end = g.depth - d + margin < kernel.depth ? g.depth - d + margin : kernel.depth;
  }
  std::int64_t margin, first, end;
};

/// Offset in a ring's plane of the upper left tap of `kernel` for the box's first voxel.
template <class T>
M3D_INLINE std::int64_t first_tap(const Geometry& g, const Box<T>& box, const Kernel& kernel) {
  return (g.largest.height / 2 - kernel.height / 2) * box.columns + g.largest.width / 2 - kernel.width / 2;
}

/// Adds `taps` taps of one row of the kernel to `count` outputs that are neighbours. Each x is loaded once.
template <class T, int count, int taps>
M3D_INLINE void add_taps(Vector<T>* sum, const Vector<T>* x, const Vector<T>* weight) {
  Vector<T> w[taps];
#pragma GCC unroll 8
  for (int k = 0; k < taps; ++k) w[k] = weight[k];
#pragma GCC unroll 32
  for (int m = 0; m < count + taps - 1; ++m) {
    const Vector<T> here = in_register<T>(x[m]);
#pragma GCC unroll 8
    for (int k = 0; k < taps; ++k)
      if (m - k >= 0 && m - k < count) sum[m - k] += w[k] * here;
  }
}

/// Adds to `count` neighbouring outputs in row r of plane d. width: of the kernel, 0 if not one of the usual.
template <class T, int count, int width>
M3D_INLINE void convolve(const Geometry& g, const Kernel& kernel, const Ring<T>& ring, const Box<T>& box,
                         const Vector<T>* weight, std::int64_t d, std::int64_t r, std::int64_t w, Vector<T>* out) {
  const DepthTaps taps(g, kernel, d);
  const std::int64_t offset = first_tap(g, box, kernel) + r * box.columns + w;
  Vector<T> sum[count];
#pragma GCC unroll 16
  for (int k = 0; k < count; ++k) sum[k] = out[k];
  for (std::int64_t i = taps.first; i < taps.end; ++i) {
    const Vector<T>* plane = ring.at(d + i - taps.margin) + offset;
    for (std::int64_t j = 0; j < kernel.height; ++j) {
      const Vector<T>* row = plane + j * box.columns;
      const Vector<T>* row_weight = weight + (i * kernel.height + j) * kernel.width;
      if constexpr (width > 0) {
        add_taps<T, count, width>(sum, row, row_weight);
      } else {
        for (int k = 0; k < kernel.width; ++k) add_taps<T, count, 1>(sum, row + k, row_weight + k);
      }
    }
  }
#pragma GCC unroll 16
  for (int k = 0; k < count; ++k) out[k] = sum[k];
}

/// run.template operator()<width>() for the kernel's width, 0 for the unusual ones.
template <class Run>
M3D_INLINE void with_width(int width, const Run& run) {
  if (width == 3) return run.template operator()<3>();
  if (width == 5) return run.template operator()<5>();
  if (width == 7) return run.template operator()<7>();
  run.template operator()<0>();
}

/// block.template operator()<count>(w) for blocks of neighbouring outputs that cover a row.
template <class Block>
M3D_INLINE void for_each_block(std::int64_t width, const Block& block) {
  std::int64_t w = 0;
  for (; w + kBlock <= width; w += kBlock) block.template operator()<kBlock>(w);
  for (; w + 8 <= width; w += 8) block.template operator()<8>(w);
  for (; w + 4 <= width; w += 4) block.template operator()<4>(w);
  for (; w < width; ++w) block.template operator()<1>(w);
}

/// block.template operator()<count>(w) for blocks that cover a row, where `sums` registers hold sums and one an x.
template <int sums, class Block>
M3D_INLINE void for_each_gradient_block(std::int64_t width, const Block& block) {
  constexpr int registers = kVectorBytes == 64 ? 32 : 16, fit = registers - 1 - sums >= 4 ? 4 : 2;
  std::int64_t w = 0;
  for (; w + fit <= width; w += fit) block.template operator()<fit>(w);
  for (; w < width; ++w) block.template operator()<1>(w);
}

/// Adds plane d's share of the gradients of `rows` kernel rows from j on. p and x are planes with margins, x shifted to
/// the kernel's upper left tap.
template <class T, int width, int rows>
M3D_INLINE void add_weight_gradient(const Geometry& g, const Kernel& kernel, const Box<T>& box, const Vector<T>* p,
                                    const Vector<T>* x, std::int64_t j, Vector<T>* grad) {
  Vector<T> sum[rows][width]{};
  p += g.largest.height / 2 * box.columns + g.largest.width / 2;
  x += j * box.columns;
  for (std::int64_t r = 0; r < box.rows; ++r, p += box.columns, x += box.columns)
    for_each_gradient_block<rows * width>(g.width, [&]<int count>(std::int64_t w) {
      Vector<T> p_here[count];
#pragma GCC unroll 4
      for (int i = 0; i < count; ++i) p_here[i] = in_register<T>(p[w + i]);
#pragma GCC unroll 8
      for (int row = 0; row < rows; ++row)
#pragma GCC unroll 16
        for (int m = 0; m < count + width - 1; ++m) {
          const Vector<T> x_here = in_register<T>(x[row * box.columns + w + m]);
#pragma GCC unroll 4
          for (int i = 0; i < count; ++i)
            if (m - i >= 0 && m - i < width) sum[row][m - i] += p_here[i] * x_here;
        }
    });
  for (int row = 0; row < rows; ++row)
    for (int k = 0; k < width; ++k) grad[(j + row) * kernel.width + k] += sum[row][k];
}

template <class T, int width>
M3D_INLINE void weight_gradient_plane(const Geometry& g, const Kernel& kernel, const Box<T>& box, const Ring<T>& p,
                                      const Ring<T>& x, std::int64_t d, Vector<T>* grad) {
  constexpr int fit = (kVectorBytes == 64 ? 25 : 13) / (width > 0 ? width : 1);  // rows whose sums fit the registers
  constexpr int together = fit < 1 ? 1 : fit < width ? fit : width, rest = width - together;
  const DepthTaps taps(g, kernel, d);
  for (std::int64_t i = taps.first; i < taps.end; ++i) {
    const Vector<T>* plane = x.at(d + i - taps.margin) + first_tap(g, box, kernel);
    Vector<T>* plane_grad = grad + i * kernel.height * kernel.width;
    if constexpr (width > 0) {
      std::int64_t j = 0;
      for (; j + together <= kernel.height; j += together)
        add_weight_gradient<T, width, together>(g, kernel, box, p.at(d), plane, j, plane_grad);
      if constexpr (rest > 1)
        for (; j + rest <= kernel.height; j += rest)
          add_weight_gradient<T, width, rest>(g, kernel, box, p.at(d), plane, j, plane_grad);
      for (; j < kernel.height; ++j) add_weight_gradient<T, width, 1>(g, kernel, box, p.at(d), plane, j, plane_grad);
    } else {
      for (std::int64_t j = 0; j < kernel.height; ++j)
        for (int k = 0; k < kernel.width; ++k)
          add_weight_gradient<T, 1, 1>(g, kernel, box, p.at(d), plane + k, j, plane_grad + k);
    }
  }
}

template <class T>
void bias_gradient_plane(const Geometry& g, const Box<T>& box, const Vector<T>* p, Vector<T>& grad) {
  p += g.largest.height / 2 * box.columns + g.largest.width / 2;
  Vector<T> sum{};
  for (std::int64_t r = 0; r < box.rows; ++r)
    for (std::int64_t w = 0; w < g.width; ++w) sum += p[r * box.columns + w];
  grad += sum;
}

template <class T>
std::int64_t ring_size(const Geometry& g) {
  return g.largest.depth * (g.tile_height() + g.largest.height - 1) * (g.width + g.largest.width - 1);
}

template <class T>
M3D_INLINE const Vector<T>* weight_of(const T* packed, const Kernel& kernel, const Piece& piece) {
  return reinterpret_cast<const Vector<T>*>(packed) + piece.group * kernel.taps();
}

/// Copies plane d of x into the ring.
template <class T, class S>
M3D_INLINE void load_plane(const Volume<const S>& x, const Geometry& g, const Box<T>& box, std::int64_t d,
                           const Ring<T>& ring) {
  copy_plane<T>(g, box, ring.at(d), [&](std::int64_t h) {
    return [row = row_of(x, box, d, h), &box](std::int64_t w) { return load_as<T>(row.at(w), box.count); };
  });
}

/// Row r of plane d for one scale.
template <class T, class S, int width>
M3D_INLINE void forward_row(const Forward<T, S>& conv, int s, const Box<T>& box, const Ring<T>& ring,
                            const Piece& piece, std::int64_t d, std::int64_t r) {
  const ForwardScale<T, S>& scale = conv.scale[s];
  const std::int64_t h = box.first_row + r;
  const Row<S> y = row_of(scale.y, box, d, h), before_silu = row_of(scale.before_silu, box, d, h);
  const Row<S> next_y = row_of(scale.y, box, d, h + 1);
  const Row<const S> ahead = s == 0 ? row_ahead(conv.x, conv, box, d, h) : Row<const S>{};
  const Vector<T> bias = scale.bias ? load_lanes(scale.bias + box.first_channel, box.count) : Vector<T>{};
  const Vector<T>* weight = weight_of(scale.weight, conv.kernel[s], piece);
  for_each_block(conv.width, [&]<int count>(std::int64_t first) {
    Vector<T> out[count];
    for (int k = 0; k < count; ++k) out[k] = bias;
    convolve<T, count, width>(conv, conv.kernel[s], ring, box, weight, d, r, first, out);
    for (int k = 0; k < count; ++k) {
      const std::int64_t w = first + k;
      prefetch_voxel(ahead, w);
      prefetch<true>(next_y.at(w));
      if (before_silu.data) store_as<T>(before_silu.at(w), out[k], box.count);
      store_as<T>(y.at(w), conv.silu ? silu<T>(out[k]) : out[k], box.count);
    }
  });
}

template <class T, class S>
void forward(const Forward<T, S>& conv, const Piece& piece, T* scratch) {
  const Box<T> box(conv, piece);
  const Ring<T> ring{reinterpret_cast<Vector<T>*>(scratch), box.plane_size, conv.largest.depth};
  walk(
      conv, box, [&](std::int64_t d) { load_plane(conv.x, conv, box, d, ring); },
      [&](std::int64_t d) {
        for (std::int64_t r = 0; r < box.rows; ++r)
          for (int s = 0; s < conv.scales; ++s)
            with_width(conv.kernel[s].width,
                       [&]<int width>() { forward_row<T, S, width>(conv, s, box, ring, piece, d, r); });
      });
}

/// Row r of plane d of grad_x: each scale adds its share to what the scales before left in `sums` [W]; the last one
/// writes grad_x.
template <class T, class S, int width>
M3D_INLINE void add_input_gradient(const Backward<T, S>& conv, int s, const Box<T>& box, const Ring<T>& p,
                                   const Piece& piece, std::int64_t d, std::int64_t r, Vector<T>* sums) {
  const std::int64_t h = box.first_row + r;
  const bool is_first = s == 0, is_last = s == conv.scales - 1;
  const Row<S> grad_x = row_of(conv.grad_x, box, d, h), next_grad_x = row_of(conv.grad_x, box, d, h + 1);
  const Row<const S> x = is_first ? row_ahead(conv.x, conv, box, d, h) : Row<const S>{};
  const Row<const S> grad_y = row_ahead(conv.scale[s].grad_y, conv, box, d, h);
  const Row<const S> before_silu = row_ahead(conv.scale[s].before_silu, conv, box, d, h);
  const Vector<T>* weight = weight_of(conv.scale[s].flipped_weight, conv.kernel[s], piece);
  for_each_block(conv.width, [&]<int count>(std::int64_t first) {
    Vector<T> out[count];
    for (int k = 0; k < count; ++k) out[k] = is_first ? Vector<T>{} : sums[first + k];
    convolve<T, count, width>(conv, conv.kernel[s], p, box, weight, d, r, first, out);
    for (int k = 0; k < count; ++k) {
      const std::int64_t w = first + k;
      prefetch_voxel(x, w);
      prefetch_voxel(grad_y, w);
      prefetch_voxel(before_silu, w);
      if (is_last) {
        prefetch<true>(next_grad_x.at(w));
        store_as<T>(grad_x.at(w), out[k], box.count);
      } else {
        sums[w] = out[k];
      }
    }
  });
}

/// Copies plane d of dL/d(convolution) of one scale into its ring.
template <class T, class S>
M3D_INLINE void load_gradient_plane(const BackwardScale<T, S>& scale, const Geometry& g, const Box<T>& box,
                                    std::int64_t d, const Ring<T>& ring) {
  copy_plane<T>(g, box, ring.at(d), [&](std::int64_t h) {
    return [grad_y = row_of(scale.grad_y, box, d, h), before_silu = row_of(scale.before_silu, box, d, h),
            &box](std::int64_t w) {
      const Vector<T> value = load_as<T>(grad_y.at(w), box.count);
      if (!before_silu.data) return value;
      return Vector<T>(value * silu_derivative<T>(load_as<T>(before_silu.at(w), box.count)));
    };
  });
}

/// Where the parts of the backward lie in the scratch memory.
template <class T>
struct BackwardScratch {
  BackwardScratch(const Geometry& g, const Box<T>& box, T* scratch)
      : x{reinterpret_cast<Vector<T>*>(scratch), box.plane_size, g.largest.depth} {
    Vector<T>* next = x.planes + ring_size<T>(g);
    for (int s = 0; s < g.scales; ++s, next += ring_size<T>(g)) p[s] = {next, box.plane_size, g.largest.depth};
    row = next;
    next += g.width;
    for (int s = 0; s < g.scales; ++s) {
      grad[s] = next;
      for (std::int64_t k = 0; k <= g.kernel[s].taps(); ++k) *next++ = Vector<T>{};
    }
  }
  Ring<T> x, p[kMaxScales];
  Vector<T>* row;               // [W]
  Vector<T>* grad[kMaxScales];  // [taps + 1]
};

template <class T, class S>
void backward(const Backward<T, S>& conv, const Piece& piece, T* scratch) {
  const Box<T> box(conv, piece);
  const BackwardScratch<T> memory(conv, box, scratch);
  const auto load = [&](std::int64_t d) {
    load_plane(conv.x, conv, box, d, memory.x);
    for (int s = 0; s < conv.scales; ++s) load_gradient_plane(conv.scale[s], conv, box, d, memory.p[s]);
  };
  const auto input_gradient = [&](std::int64_t d) {
    for (std::int64_t r = 0; r < box.rows; ++r)
      for (int s = 0; s < conv.scales; ++s)
        with_width(conv.kernel[s].width, [&]<int width>() {
          add_input_gradient<T, S, width>(conv, s, box, memory.p[s], piece, d, r, memory.row);
        });
  };
  walk(conv, box, load, [&](std::int64_t d) {
    input_gradient(d);
    for (int s = 0; s < conv.scales; ++s) {
      const Kernel& kernel = conv.kernel[s];
      with_width(kernel.width, [&]<int width>() {
        weight_gradient_plane<T, width>(conv, kernel, box, memory.p[s], memory.x, d, memory.grad[s]);
      });
      bias_gradient_plane<T>(conv, box, memory.p[s].at(d), memory.grad[s][kernel.taps()]);
    }
  });
  for (int s = 0; s < conv.scales; ++s) {
    const std::int64_t sums = conv.kernel[s].taps() + 1;
    T* part = conv.scale[s].grad_parts + (piece.batch * conv.tiles() + piece.tile) * sums * conv.channels;
    for (std::int64_t k = 0; k < sums; ++k)
      store_lanes(part + k * conv.channels + box.first_channel, memory.grad[s][k], box.count);
  }
}

template <class T>
std::int64_t scratch_size(const Geometry& g) {
  std::int64_t vectors = (1 + g.scales) * ring_size<T>(g) + g.width;
  for (int s = 0; s < g.scales; ++s) vectors += g.kernel[s].taps() + 1;
  return vectors * kLanes<T>;
}

}  // namespace

template <class T, class S>
Loops<T, S> table() {
  return {kLanes<T>, scratch_size<T>, forward<T, S>, backward<T, S>};
}
template Loops<float, float> table<float, float>();
template Loops<float, Bfloat16> table<float, Bfloat16>();
template Loops<float, Float16> table<float, Float16>();
template Loops<double, double> table<double, double>();

}  // namespace m3d::depthwise_conv3d_loops::M3D_ISA
