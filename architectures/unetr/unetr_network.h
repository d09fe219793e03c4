#pragma once
// UNETR (arXiv:2103.10504; monai/networks/nets/unetr.py and vit.py of MONAI): twelve transformer blocks over patches of
// 16 voxels; the image and the tokens after blocks 4, 7, 10 and 12, up-sampled, are the skips of a convolutional
// decoder.
#include "architectures/blocks/unetr_blocks.h"
#include "architectures/registry.h"

namespace m3d {

struct UnetrConfig {
  std::int64_t feature_size = 16, hidden_size = 768, mlp_dim = 3072, heads = 12;
  bool perceptron = false;  // patches through a linear layer instead of a convolution
  bool conv_block = true;
  double dropout = 0;
  bool qkv_bias = false;
  UnetrStyle style;  // its dimensions are the network's
};

/// Of a resolved option schema.
UnetrConfig unetr_config(const Json& options);

std::array<std::int64_t, 3> unetr_divisors(int dimensions);

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_unetr(const NetworkInput& input, const UnetrConfig& config, std::uint64_t seed);

}  // namespace m3d
