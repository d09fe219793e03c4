#pragma once
// CoTr (arXiv:2103.03024; network_architecture/ResTranUnet.py and CNNBackbone.py of YtongXie/CoTr): a residual
// convolutional encoder, a deformable transformer over its two deepest levels, a convolutional decoder with added
// skips.
#include "architectures/cotr/deformable_transformer.h"
#include "architectures/registry.h"

namespace m3d {

struct CotrConfig {
  ConvolutionStyle style;
  std::array<std::int64_t, 4> widths{64, 192, 384, 384};  // the last two are the transformer's
  DeformableShape transformer;
  bool deep_supervision = true;
};

/// Of a resolved option schema.
CotrConfig cotr_config(const Json& options);

/// What each axis of the patch must be a multiple of.
inline constexpr std::array<std::int64_t, 3> kCotrDivisors{8, 16, 16};

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_cotr(const NetworkInput& input, const CotrConfig& config, std::uint64_t seed);

}  // namespace m3d
