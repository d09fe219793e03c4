#pragma once
// U-Mamba's options and what they mean for its blocks (arXiv:2401.04722).
#include "architectures/blocks/unet_decoder.h"
#include "architectures/registry.h"
#include "architectures/umamba/umamba_blocks.h"

namespace m3d {

/// Defaults are those of nnU-Net's plans.
OptionSchema umamba_schema(const std::string& kind);

struct UmambaConfig {
  bool in_encoder = false;  // Mamba layers after the encoder's stages (UMambaEnc), else one after the last (UMambaBot)
  bool flat = false;        // the 2D file's form: a layer after every second stage, no skip to the finest level
  UnetStages stages;
  std::vector<std::int64_t> encoder_units, decoder_units;  // an entry a stage; the decoder's coarsest first
  std::vector<Grid> grids;                                 // of the stages' outputs
  UnitStyle style;
  MambaLayerShape layer;  // dim and channel_token are set stage by stage
  bool deep_supervision = true;

  bool has_layer(std::size_t stage) const;
  MambaLayerShape layer_of(std::size_t stage) const;
};

/// For a patch [D, H, W]. Throws UserError where options contradict each other.
UmambaConfig umamba_config(const Json& options, bool in_encoder, const std::array<std::int64_t, 3>& patch);

}  // namespace m3d
