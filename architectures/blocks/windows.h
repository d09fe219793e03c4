#pragma once
// Windows of tokens for local attention (Swin Transformer, arXiv:2103.14030): how they are cut from a grid, shifted by
// half their size, and which tokens of a shifted window may not see each other. Slices are grids of depth 1.
#include <vector>

#include "architectures/blocks/scan_order.h"

namespace m3d {

/// What becomes of a window that is not shorter than its grid.
enum class WindowFit {
  shrink,  // as soon as the grid's shortest axis is no longer, windows are cubes of that axis and do not shift
  clamp,   // each axis on its own: there the window is as long as the grid and does not shift
  keep     // nothing, but a window that is exactly the grid does not shift; all axes shift, or none does
};

struct WindowRule {
  Grid size{};
  WindowFit fit = WindowFit::shrink;
  int dimensions = 3;    // with 2 the first axis has one token and does not count
  bool shifted = false;  // by half a window
};

/// Windows on a grid that is padded at each axis' end to whole windows.
struct Windows {
  Grid size{}, shift{}, padded{};
  /// Along each axis.
  Grid counts() const { return {padded[0] / size[0], padded[1] / size[1], padded[2] / size[2]}; }
  bool is_shifted() const { return shift != Grid{}; }
};

Windows fit_windows(const WindowRule& rule, const Grid& grid);

/// tokens [B, L, C] on `grid` → [B * windows, tokens of a window, C], both row-major; padding is zero.
torch::Tensor cut_windows(const torch::Tensor& tokens, const Grid& grid, const Windows& windows);
/// The way back; padding is dropped. `grid` is the tokens'.
torch::Tensor join_windows(const torch::Tensor& cut, const Grid& grid, const Windows& windows);

/// What is added to the attention scores [d, h, w, heads, N, N] of the windows [first, first + counts) of each axis;
/// broadcast.
struct WindowMask {
  Grid first{}, counts{};
  torch::Tensor values;
};

/// -100 between tokens of a shifted window that are no neighbours in the volume: only the last windows of each shifted
/// axis, where its end meets its beginning, have any. No two entries share a window.
std::vector<WindowMask> shift_masks(const Windows& windows, const torch::TensorOptions& options);
/// The same as one tensor, [windows, N, N].
torch::Tensor full_shift_mask(const Windows& windows, const torch::TensorOptions& options);

}  // namespace m3d
