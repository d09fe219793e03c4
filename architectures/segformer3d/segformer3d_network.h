#pragma once
// SegFormer3D (arXiv:2404.10156; architectures/segformer3d.py of OSUPCVLab/SegFormer3D): a four-stage Mix Transformer
// and a decoder of one linear layer a stage, up-sampled to the first stage's grid and fused.
#include "architectures/blocks/mix_transformer.h"
#include "architectures/registry.h"

namespace m3d {

struct SegFormer3dConfig {
  std::vector<MixStageShape> stages;  // the first one's input channels are the image's
  std::int64_t decoder_width = 256;
  double decoder_dropout = 0;
  MixMlp mlp = MixMlp::batch_norm;
};

/// Of a resolved option schema. Throws UserError for lists that have not four values.
SegFormer3dConfig segformer3d_config(const Json& options, std::int64_t channels);

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_segformer3d(const NetworkInput& input, const SegFormer3dConfig& config,
                                           std::uint64_t seed);

}  // namespace m3d
