#pragma once
// What the tensor-facing code and the inner loops of the depthwise convolution say to each other.
#include <cstdint>

namespace m3d::depthwise_conv3d_loops {

/// Kernels that one pass over x computes at most.
inline constexpr int kMaxScales = 4;

/// Planes of one piece of work.
inline constexpr std::int64_t kDepthTile = 16;

/// The voxels of one row, the first channel of each. Null data: the tensor is absent.
template <class T>
struct Row {
  T* data = nullptr;
  std::int64_t stride = 0;
  T* at(std::int64_t w) const { return data + w * stride; }
};

/// A [B, D, H, W, C] tensor whose last dimension is dense. Null data: the tensor is absent.
template <class T>
struct Volume {
  T* data = nullptr;
  std::int64_t batch_stride = 0, depth_stride = 0, height_stride = 0, width_stride = 0;
  Row<T> row(std::int64_t batch, std::int64_t d, std::int64_t h, std::int64_t first_channel) const {
    if (!data) return {};
    return {data + batch * batch_stride + d * depth_stride + h * height_stride + first_channel, width_stride};
  }
};

struct Kernel {
  int depth = 1, height = 1, width = 1;
  std::int64_t taps() const { return std::int64_t(depth) * height * width; }
};

struct Geometry {
  std::int64_t batch, depth, height, width, channels;
  int scales;
  Kernel kernel[kMaxScales];
  Kernel largest;  // in each direction
  int rings;       // volumes of which a piece keeps the planes around the one being computed
  std::int64_t depth_tiles() const { return (depth + kDepthTile - 1) / kDepthTile; }
  /// Few enough rows that the planes a tile looks at stay near the second-level cache.
  std::int64_t height_tiles() const {
    constexpr std::int64_t vectors = 8192;  // 512 KiB of 64 bytes
    const std::int64_t fit = vectors / (rings * largest.depth * (width + largest.width - 1)) - (largest.height - 1);
    const std::int64_t rows = fit < 8 ? 8 : fit;
    return (height + rows - 1) / rows;
  }
  std::int64_t tile_height() const { return height_tiles() ? (height + height_tiles() - 1) / height_tiles() : 0; }
  /// Pieces of work for one batch and one group of channels.
  std::int64_t tiles() const { return depth_tiles() * height_tiles(); }
};

/// One of the convolutions of x. T: the arithmetic's type, S: the voxels' in memory.
template <class T, class S>
struct ForwardScale {
  const T* weight = nullptr;  // [groups, taps, lanes]
  const T* bias = nullptr;    // [C] or null
  Volume<S> y, before_silu;   // the latter may be absent
};

template <class T, class S>
struct Forward : Geometry {
  Volume<const S> x;
  bool silu;
  ForwardScale<T, S> scale[kMaxScales];
};

template <class T, class S>
struct BackwardScale {
  const T* flipped_weight = nullptr;  // [groups, taps, lanes], taps from last to first
  Volume<const S> before_silu;        // absent: no activation
  Volume<const S> grad_y;
  T* grad_parts = nullptr;  // [B, tiles, taps + 1, C]: of the weight, then of the bias
};

template <class T, class S>
struct Backward : Geometry {
  Volume<const S> x;
  Volume<S> grad_x;
  BackwardScale<T, S> scale[kMaxScales];
};

/// A piece of work.
struct Piece {
  std::int64_t batch, group, tile;
};

/// The loops of one instruction set.
template <class T, class S>
struct Loops {
  int lanes;                                      // channels a group
  std::int64_t (*scratch_size)(const Geometry&);  // values of T that a call needs, 64-byte aligned
  void (*forward)(const Forward<T, S>&, const Piece&, T* scratch);
  void (*backward)(const Backward<T, S>&, const Piece&, T* scratch);
};

// One table for each copy of depthwise_conv3d_loops.cpp.
namespace portable {
template <class T, class S>
Loops<T, S> table();
}
namespace avx2 {
template <class T, class S>
Loops<T, S> table();
}
namespace avx512 {
template <class T, class S>
Loops<T, S> table();
}

}  // namespace m3d::depthwise_conv3d_loops
