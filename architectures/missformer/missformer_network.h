#pragma once
// MISSFormer (arXiv:2109.07162; networks/MISSFormer.py of ZhifangDeng/MISSFormer): a U of Mix Transformers, 2D, with a
// transformer across all levels as bridge.
#include "architectures/blocks/mix_transformer.h"
#include "architectures/registry.h"

namespace m3d {

struct MissformerConfig {
  std::int64_t base_width = 64;      // the stages have 1, 2, 5 and 8 times this; the original's is fixed
  MixMlp mlp = MixMlp::skip;         // of encoder and decoder
  MixMlp bridge_mlp = MixMlp::skip;  // with the skip, whatever the others
};

/// Of a resolved option schema.
MissformerConfig missformer_config(const Json& options);

/// What each axis of the patch must be a multiple of.
inline constexpr std::array<std::int64_t, 3> kMissformerDivisors{1, 32, 32};

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_missformer(const NetworkInput& input, const MissformerConfig& config,
                                          std::uint64_t seed);

}  // namespace m3d
