#pragma once
// Swin-Unet (Cao et al., ECCVW 2022, arXiv:2105.05537; networks/swin_transformer_unet_skip_expand_decoder_sys.py of
// HuCaoFighting/Swin-Unet): a U of Swin Transformer stages on slices [B, C, H, W]; patches are merged on the way down,
// expanded on the way up, skips concatenated and projected.
#include "architectures/blocks/patch_merging.h"
#include "architectures/blocks/slices.h"
#include "architectures/blocks/window_attention.h"

namespace m3d {

OptionSchema swin_unet_schema();

/// Resolved options as a typed value.
struct SwinUnetConfig {
  std::int64_t in_channels = 3, classes = 1;
  std::int64_t patch_size = 4, embed_dim = 96, final_scale = 4;
  std::vector<std::int64_t> depths, num_heads;  // of the four stages
  WindowBlockShape block;                       // what all blocks share
  double drop_rate = 0, drop_path_rate = 0;
  bool ape = false, patch_norm = true;

  std::int64_t width(std::size_t stage) const { return embed_dim << stage; }
  /// Tokens of a stage.
  Grid grid(const NetworkInput& input, std::size_t stage) const;
};

/// Throws UserError where options contradict each other.
SwinUnetConfig swin_unet_config(const NetworkInput& input, const Json& options);

/// Sizes that always fit.
std::array<std::int64_t, 3> swin_unet_divisors(const SwinUnetConfig& config);

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_swin_unet(const NetworkInput& input, const SwinUnetConfig& config, std::uint64_t seed);

}  // namespace m3d
