#pragma once
// SegMamba (Xing et al., arXiv:2401.13560; model_segmamba/segmamba.py of ge-xing/SegMamba): four stages of gated
// convolution and tri-orientated Mamba at 1/2 to 1/16 of the resolution, inside UNETR's convolution blocks.
#include "architectures/segmamba/segmamba_options.h"

namespace m3d {

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_segmamba(const NetworkInput& input, const SegmambaConfig& config, std::uint64_t seed);

}  // namespace m3d
