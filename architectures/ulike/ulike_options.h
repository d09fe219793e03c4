#pragma once
// The Ulike family's options and what they mean for its blocks (paper: arXiv:2503.19308).
#include "architectures/blocks/attention.h"
#include "architectures/blocks/token_mixer.h"
#include "architectures/registry.h"

namespace m3d {

/// All options with the defaults of the paper's own form: the figure's decoder, the released mixers.
OptionSchema ulike_schema(const std::string& kind);

/// Resolved options as a typed value. Lists are always whole: those left empty by the user are filled in.
struct UlikeConfig {
  std::vector<char> encoder_kinds, decoder_kinds;            // per stage: 'M' Mamba, 'T' transformer, 'N' no mixer
  std::vector<std::int64_t> encoder_widths, decoder_widths;  // decoder_widths[3] is the stem's
  std::vector<std::int64_t> encoder_depths, decoder_depths;
  std::vector<std::int64_t> encoder_reductions, decoder_reductions, encoder_heads, decoder_heads;
  double mlp_ratio = 4;
  bool encoder_qkv_bias = true, decoder_qkv_bias = false;
  double encoder_norm_eps = 1e-6, decoder_norm_eps = 1e-5;
  TokenMixerShape encoder_mixer, decoder_mixer;  // d_model, d_inner and dt_rank are set per stage by mixer_for
  std::int64_t dt_rank = 0;
  double expand = 2;
  std::vector<std::int64_t> patch_kernels{3};  // of the encoder's strided convolutions: several with msv1..msv3
  bool mixer_per_kernel = false;               // msv1: each of them has its own mixers
  ConvolutionStyle style;
  bool more_conv_en = false, more_conv_de = false;
  bool released_decoder = false, deep_supervision = true, released_heads = false;
  bool initialise_dt = false;

  /// `base` with the widths of a stage of `width` channels.
  TokenMixerShape mixer_for(const TokenMixerShape& base, std::int64_t width) const;
};

/// Throws UserError where options contradict each other.
UlikeConfig ulike_config(const Json& options, std::uint64_t seed);

}  // namespace m3d
