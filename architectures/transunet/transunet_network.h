#pragma once
// TransUNet (Chen et al., arXiv:2102.04306, Fig. 1; vit_seg_modeling.py of Beckschen/TransUNet): a ResNet, a ViT on its
// features, a cascaded up-sampler with the ResNet's skips; on square axial slices.
#include "architectures/transunet/transunet_options.h"

namespace m3d {

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_transunet(const NetworkInput& input, const Json& options, std::uint64_t seed);

}  // namespace m3d
