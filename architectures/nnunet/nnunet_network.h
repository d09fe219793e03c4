#pragma once
// nnU-Net's networks (Isensee et al., Nature Methods 18, 2021; nnU-Net Revisited, arXiv:2404.09556): a plain or a
// residual encoder, the same decoder; 2D and 3D (unet.py of MIC-DKFZ/dynamic-network-architectures).
#include "architectures/nnunet/nnunet_options.h"

namespace m3d {

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_nnunet(const NetworkInput& input, const NnunetConfig& config, std::uint64_t seed);

}  // namespace m3d
