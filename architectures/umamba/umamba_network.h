#pragma once
// U-Mamba (Ma et al., arXiv:2401.04722; nnunetv2/nets/UMambaBot_3d.py, UMambaEnc_3d.py and the two _2d.py of
// bowang-lab/U-Mamba): a residual U-Net of nnU-Net's plan with Mamba layers at the bottleneck or after encoder stages.
#include "architectures/umamba/umamba_options.h"

namespace m3d {

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_umamba(const NetworkInput& input, const UmambaConfig& config, std::uint64_t seed);

}  // namespace m3d
