#pragma once
// LeViT-UNet (Xu et al., arXiv:2107.08623, Fig. 1; apple1986/LeViT-UNet): a convolutional stem to 1/16, three stages of
// LeViT attention at 1/16, 1/32 and 1/64, all of them at 1/16 into a convolutional decoder with the stem's skips; on
// square axial slices.
#include "architectures/levit_unet/levit_options.h"

namespace m3d {

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_levit_unet(const NetworkInput& input, const Json& options, std::uint64_t seed);

}  // namespace m3d
