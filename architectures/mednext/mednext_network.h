#pragma once
// MedNeXt (Roy et al., MICCAI 2023, arXiv:2303.09975; mednextv1/MedNextV1.py of MIC-DKFZ/MedNeXt): a U-Net of MedNeXt
// blocks with four halvings, skips added, an output at every resolution.
#include "architectures/mednext/mednext_options.h"

namespace m3d {

/// What each axis [D, H, W] of the patch must be a multiple of.
std::array<std::int64_t, 3> mednext_divisors(const MednextConfig& config);

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_mednext(const NetworkInput& input, const MednextConfig& config, std::uint64_t seed);

}  // namespace m3d
