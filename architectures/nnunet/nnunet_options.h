#pragma once
// The options of nnU-Net's networks and what they mean for the blocks (unet.py of
// MIC-DKFZ/dynamic-network-architectures: PlainConvUNet, ResidualEncoderUNet).
#include "architectures/blocks/unet_decoder.h"
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

/// 2 or 3.
int nnunet_dimensions(const Json& options);
/// The encoder's strides as triples; empty where they are planned from the patch.
std::vector<Triple> nnunet_strides(const Json& options);

/// nnU-Net's topology for voxels of equal edges (network_topology.py of MIC-DKFZ/nnUNet), at most `most` stages: every
/// axis is halved while it is even and stays at least 4 voxels long (6 where it is the only one left).
std::vector<Triple> planned_strides(const std::array<std::int64_t, 3>& patch, int dimensions, std::size_t most);

}  // namespace m3d
