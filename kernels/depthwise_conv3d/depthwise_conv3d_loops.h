#pragma once
// What the tensor-facing code and the inner loops of the depthwise convolution say to each other.
#include <cstdint>

namespace m3d::depthwise_conv3d_loops {

/// Planes of one piece of work.
inline constexpr std::int64_t kDepthTile = 8;

/// A [B, D, H, W, C] tensor whose last dimension is dense. Null data: the tensor is absent.
template <class T>
struct Volume {
  T* data = nullptr;
  std::int64_t batch_stride = 0, depth_stride = 0, height_stride = 0, width_stride = 0;
  T* at(std::int64_t batch, std::int64_t d, std::int64_t h, std::int64_t w) const {
    return data + batch * batch_stride + d * depth_stride + h * height_stride + w * width_stride;
  }
};

struct Geometry {
  std::int64_t batch, depth, height, width, channels;
  int kernel_depth, kernel_height, kernel_width;
  std::int64_t taps() const { return std::int64_t(kernel_depth) * kernel_height * kernel_width; }
  std::int64_t depth_tiles() const { return (depth + kDepthTile - 1) / kDepthTile; }
  /// Few enough rows that the planes a tile looks at stay in the second-level cache.
  std::int64_t height_tiles() const {
    constexpr std::int64_t vectors = 8192;  // 512 KiB of 64 bytes
    const std::int64_t fit = vectors / (kernel_depth * (width + kernel_width - 1)) - (kernel_height - 1);
    const std::int64_t rows = fit < 8 ? 8 : fit;
    return (height + rows - 1) / rows;
  }
  std::int64_t tile_height() const { return height_tiles() ? (height + height_tiles() - 1) / height_tiles() : 0; }
  /// Pieces of work for one batch and one group of channels.
  std::int64_t tiles() const { return depth_tiles() * height_tiles(); }
};

template <class T>
struct Forward : Geometry {
  Volume<const T> x;
  const T* weight;  // [groups, taps, lanes]
  const T* bias;    // [C] or null
  bool silu;
  Volume<T> y, before_silu;  // the latter may be absent
};

template <class T>
struct Backward : Geometry {
  Volume<const T> x;
  const T* flipped_weight;      // [groups, taps, lanes], taps from last to first
  Volume<const T> before_silu;  // absent: no activation
  Volume<const T> grad_y;
  Volume<T> grad_x;
  T* grad_parts;  // [B, tiles, taps + 1, C]: of the weight, then of the bias
};

/// A piece of work.
struct Piece {
  std::int64_t batch, group, tile;
};

/// The loops of one instruction set.
template <class T>
struct Loops {
  int lanes;                                      // channels a group
  std::int64_t (*scratch_size)(const Geometry&);  // values of T that a call needs, 64-byte aligned
  void (*forward)(const Forward<T>&, const Piece&, T* scratch);
  void (*backward)(const Backward<T>&, const Piece&, T* scratch);
};

// One table for each copy of depthwise_conv3d_loops.cpp.
namespace portable {
template <class T>
Loops<T> table();
}
namespace avx2 {
template <class T>
Loops<T> table();
}
namespace avx512 {
template <class T>
Loops<T> table();
}

}  // namespace m3d::depthwise_conv3d_loops
