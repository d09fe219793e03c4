#pragma once
// The options of TransUNet and what they mean for its blocks (networks/vit_seg_configs.py of Beckschen/TransUNet).
#include "architectures/registry.h"

namespace m3d {

/// Defaults: R50-ViT-B_16.
OptionSchema transunet_schema(const std::string& kind);

struct TransUnetConfig {
  std::int64_t image = 0;   // edge of the square slice
  bool hybrid = true;       // ResNet features make the tokens, else the image itself
  std::int64_t patch = 1;   // edge of what becomes one token, in voxels of those features or of the image
  std::int64_t tokens = 0;  // along one axis
  std::vector<std::int64_t> resnet_units;  // of the three blocks
  std::int64_t resnet_width = 64;
  std::int64_t hidden = 768, mlp = 3072, heads = 12, layers = 12;
  double dropout = 0.1, attention_dropout = 0;
  std::int64_t head_channels = 512;
  std::vector<std::int64_t> decoder_channels, skip_channels;  // one a decoder block; 0: no skip
};

/// Resolved options for slices of `edge` x `edge`. Throws UserError where options contradict each other or the size
/// does not fit, saying which do.
TransUnetConfig transunet_config(const Json& options, std::int64_t edge);

}  // namespace m3d
