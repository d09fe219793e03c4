#pragma once
// The options of nnU-Net's networks and what they mean for the blocks (unet.py of
// MIC-DKFZ/dynamic-network-architectures: PlainConvUNet, ResidualEncoderUNet).
#include "architectures/blocks/unet_plan.h"
#include "architectures/registry.h"

namespace m3d {

/// `residual`: of ResidualEncoderUNet, else of PlainConvUNet. Defaults are those of nnU-Net's plans.
OptionSchema nnunet_schema(const std::string& kind, bool residual);

struct NnunetConfig {
  bool residual = false, deep_supervision = true;
  UnetStages stages;
  std::vector<std::int64_t> encoder_units, decoder_units;  // an entry a stage; the decoder's coarsest first
  std::vector<std::int64_t> bottleneck_channels;           // an entry a stage; 0: basic blocks
  std::int64_t stem_channels = 0;                          // of the residual encoder
  ResidualShape block;                                     // kernel and bottleneck are set stage by stage
  std::string pool = "conv";                               // how the encoder shrinks: "conv" (strides), "avg", "max"
  UnitStyle style;
};

/// Resolved options for a patch [D, H, W]. What is left empty is planned from the patch. Throws UserError where options
/// contradict each other.
NnunetConfig nnunet_config(const Json& options, bool residual, const std::array<std::int64_t, 3>& patch);

}  // namespace m3d
