#pragma once
// The options of LeViT-UNet and what they mean for its blocks (LeViT-UNet-384.py, -192.py, -128s.py of
// apple1986/LeViT-UNet).
#include "architectures/registry.h"

namespace m3d {

/// Defaults: LeViT-UNet-384.
OptionSchema levit_schema(const std::string& kind);

/// The options in which the original's other sizes, "levit_unet_192" and "levit_unet_128s", differ; null for other
/// names.
Json levit_size(const std::string& name);

struct LevitAttentionShape {
  std::int64_t dim = 0, out = 0, key_dim = 32, heads = 1;
  std::int64_t value_dim = 64;  // of a head
  std::int64_t resolution = 1;  // tokens along an axis
  std::string activation = "Hardswish";
};

struct LevitStage {
  LevitAttentionShape attention;
  std::int64_t depth = 1, mlp = 0;                // mlp: hidden width, 0: no MLP
  std::optional<LevitAttentionShape> downsample;  // before the stage, from the resolution of the stage above
  std::int64_t downsample_mlp = 0;
};

struct LevitConfig {
  std::int64_t image = 0;  // edge of the square slice
  std::vector<LevitStage> stages;
  std::vector<std::int64_t> decoder_channels;
  std::string mlp_activation = "Hardswish";
  double drop_path = 0;
  bool one_list = false;  // all blocks in one list of the state, as the original's 192 has them
};

/// Resolved options for slices of `edge` x `edge`. Throws UserError where options contradict each other or the size
/// does not fit, saying which do.
LevitConfig levit_config(const Json& options, std::int64_t edge);

}  // namespace m3d
