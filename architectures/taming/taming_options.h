#pragma once
// The options of Taming Mambas' networks and what they mean for their blocks.
#include "architectures/blocks/unet_decoder.h"
#include "architectures/registry.h"
#include "architectures/taming/taming_blocks.h"

namespace m3d {

/// What the four networks differ in.
struct TamingForm {
  const char* name;
  const char* title;
  const char* file;  // of the original
  MambaDirections directions;
  bool on_skips;  // the layers' outputs go to the decoder only, else to the next stage too
  std::int64_t d_state_cap;
  bool mixer = true;
};

OptionSchema taming_schema(const TamingForm& form);

struct TamingConfig {
  MambaDirections directions = MambaDirections::one;
  bool on_skips = false, paper_order = false, deep_supervision = true;
  UnetStages stages;
  std::vector<std::int64_t> encoder_units, decoder_units;  // an entry a stage; the decoder's coarsest first
  std::vector<std::int64_t> bottleneck_channels;           // an entry a stage; 0: basic blocks
  std::int64_t stem_channels = 0, d_state_cap = 256;
  UnitStyle style;
  MambaTransShape layer;  // channels and d_state are set stage by stage

  MambaTransShape layer_of(std::size_t stage) const;
};

/// Resolved options for a patch [D, H, W]. Throws UserError where options contradict each other.
TamingConfig taming_config(const Json& options, const TamingForm& form, const std::array<std::int64_t, 3>& patch);

}  // namespace m3d
