#pragma once
// nnFormer (Zhou et al., IEEE TIP 2023, arXiv:2109.03201; nnFormer_synapse.py, nnFormer_tumor.py and nnFormer_acdc.py
// of 282857341/nnFormer): window attention between strided convolutions, a decoder whose stages begin with attention
// from the up-sampled tokens to the skip, a head a stage. The three files differ in what is data here.
#include "architectures/blocks/window_attention.h"
#include "architectures/registry.h"

namespace m3d {

enum class NnFormerVariant { synapse, tumor, acdc };

OptionSchema nnformer_schema(NnFormerVariant variant, const std::string& kind);

/// From a stage to the next coarser one and back.
struct NnFormerStep {
  Grid kernel{3, 3, 3}, stride{2, 2, 2}, padding{1, 1, 1};  // of the convolution down
  Grid output_padding{};                                    // of the transposed one up, whose kernel is the stride

  Grid down(const Grid& grid) const;
  Grid up(const Grid& grid) const;
};

/// Resolved options as a typed value.
struct NnFormerConfig {
  std::int64_t channels = 1, classes = 2, embedding_dim = 192;
  Grid patch_size{};
  std::array<Grid, 2> stem_strides{};
  std::array<NnFormerStep, 3> steps;
  std::array<Grid, 4> grids{};  // tokens of the stages
  std::vector<std::int64_t> depths, encoder_heads, decoder_heads;
  std::vector<Grid> windows;
  WindowBlockShape block;  // what all blocks share
  double drop_path_rate = 0.2;
  bool deep_supervision = true;

  std::int64_t width(std::size_t stage) const { return embedding_dim << stage; }
};

/// Throws UserError where options contradict each other, or the patch does not fit, saying which sizes do.
NnFormerConfig nnformer_config(NnFormerVariant variant, const NetworkInput& input, const Json& options);

/// What the axes of the patch must be multiples of; of ACDC's depth the half must also be odd.
std::array<std::int64_t, 3> nnformer_divisors(NnFormerVariant variant, const Json& options);

std::shared_ptr<Network> build_nnformer(const NetworkInput& input, const NnFormerConfig& config, std::uint64_t seed);

}  // namespace m3d
