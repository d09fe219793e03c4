#pragma once
// Swin UNETR (Hatamizadeh et al., BrainLes 2021, arXiv:2201.01266; monai/networks/nets/swin_unetr.py of
// Project-MONAI/MONAI 1.5 and 1.6): a Swin Transformer whose five resolutions feed the convolutional blocks of UNETR.
// With spatial_dims 2 it works on slices [B, C, H, W] wherever [B, C, D, H, W] is said.
#include "architectures/blocks/patch_merging.h"
#include "architectures/blocks/slices.h"
#include "architectures/blocks/unetr_blocks.h"
#include "architectures/blocks/window_attention.h"

namespace m3d {

OptionSchema swin_unetr_schema(const std::string& kind);

/// Resolved options as a typed value.
struct SwinUnetrConfig {
  std::int64_t channels = 1, classes = 2;
  int dimensions = 3;
  std::int64_t feature_size = 48;
  std::vector<std::int64_t> depths, num_heads;  // of the four stages
  WindowBlockShape block;                       // what all blocks share
  MergedOffsets merging;
  VolumeNormShape norm;
  double drop_rate = 0, drop_path_rate = 0;
  bool normalize = true, patch_norm = false, use_v2 = false;

  std::int64_t width(std::size_t stage) const { return feature_size << stage; }
};

/// Throws UserError where options contradict each other.
SwinUnetrConfig swin_unetr_config(const NetworkInput& input, const Json& options);

/// What the axes of the patch must be multiples of.
std::array<std::int64_t, 3> swin_unetr_divisors(const Json& options);

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_swin_unetr(const NetworkInput& input, const SwinUnetrConfig& config, std::uint64_t seed);

}  // namespace m3d
