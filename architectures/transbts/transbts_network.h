#pragma once
// TransBTS (arXiv:2103.04430; models/TransBTS of Wenxuan-1119/TransBTS): a convolutional encoder to 1/8, a transformer
// over its voxels, a convolutional decoder with concatenated skips.
#include "architectures/registry.h"

namespace m3d {

struct TransBtsConfig {
  std::int64_t embedding_dim = 512;  // the convolutional widths are 1/32 to 1/4 of it; the original's is fixed
  std::int64_t heads = 8, layers = 4, hidden_dim = 4096;
  double dropout = 0.1, attention_dropout = 0.1, initial_dropout = 0.2;
  bool fixed_positions = false;
  bool probabilities = false;
  bool run_unread_layers = false;
  std::int64_t flatten_dim = 512;  // inputs of the unused linear_encoding
};

/// Of a resolved option schema. Throws UserError for widths that cannot be.
TransBtsConfig transbts_config(const Json& options);

/// What each axis of the patch must be a multiple of.
inline constexpr std::array<std::int64_t, 3> kTransBtsDivisors{8, 8, 8};

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_transbts(const NetworkInput& input, const TransBtsConfig& config, std::uint64_t seed);

}  // namespace m3d
