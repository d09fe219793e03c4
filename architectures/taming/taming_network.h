#pragma once
// Taming Mambas (Lumetti et al.; nnunetv2/nets/SegMamba.py, SegMambaSkip.py, PanSegMamba.py, MultiSegMamba.py of
// LucaLumetti/TamingMambas): nnU-Net's residual encoder with a Mamba layer after every stage, a residual decoder.
#include "architectures/taming/taming_options.h"

namespace m3d {

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_taming(const NetworkInput& input, const TamingConfig& config, std::uint64_t seed);

}  // namespace m3d
