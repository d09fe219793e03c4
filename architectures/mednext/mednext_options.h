#pragma once
// The options of MedNeXt and what they mean for its blocks (mednextv1/MedNextV1.py and create_mednext_v1.py of
// MIC-DKFZ/MedNeXt).
#include "architectures/registry.h"

namespace m3d {

OptionSchema mednext_schema(const std::string& kind, std::int64_t kernel_size);

/// Of the nine stages enc_block_0 … enc_block_3, bottleneck, dec_block_3 … dec_block_0.
using NineStages = std::array<std::int64_t, 9>;

struct MednextConfig {
  int dimensions = 3;
  std::int64_t channels = 32;  // at full resolution; doubled by every halving
  NineStages expansion{}, block_counts{};
  std::int64_t encoder_kernel = 3, decoder_kernel = 3;  // the bottleneck has the decoder's
  bool residual = true, residual_resampling = true, grn = false;
  bool layer_norm = false;  // over the channels of a voxel, instead of a group norm with a group a channel
  bool deep_supervision = true, checkpointed = false;
};

/// Throws UserError where options contradict each other.
MednextConfig mednext_config(const Json& options);

/// The original's presets: {"exp_r": …, "block_counts": …} of size "S", "B", "M" or "L".
const Json& mednext_size(const std::string& size);

}  // namespace m3d
