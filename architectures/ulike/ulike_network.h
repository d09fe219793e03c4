#pragma once
// The Ulike network (arXiv:2503.19308; Vmamba_stageC_MS_v6_3d_tri.py of uakhan17/Mamba3D-MedSeg): a convolutional stem
// at (D, H/2, W/2), four encoder stages that halve, three decoder stages that double, skips added.
#include "architectures/ulike/ulike_options.h"

namespace m3d {

/// One encoder stage: strided convolution branches, then token mixers; one mixer after the branches' sum, or one a
/// branch before it. Members belong to a parent module, which names them.
struct UlikeStage {
  std::vector<std::shared_ptr<PatchEmbedding>> embeddings;
  std::vector<std::shared_ptr<TokenStack>> mixers;  // empty: no mixer
  /// `position` [1, L, C] is added before the mixers; may be undefined. Returns a volume.
  torch::Tensor forward(const torch::Tensor& volume, const torch::Tensor& position) const;
};

/// The released decoder's step: trilinear x2, 1x1x1 convolution, to the skip's size if it differs, add, convolve.
class TrilinearUp : public torch::nn::Module {
 public:
  TrilinearUp(std::int64_t in, std::int64_t skip, std::int64_t out, const ConvolutionStyle& style);
  torch::Tensor forward(const torch::Tensor& volume, const torch::Tensor& skip);

 private:
  std::shared_ptr<Convolution> match_;
  std::shared_ptr<ConvolutionBlock> out_;
};

/// The figure's step: transposed convolution (kernel = stride), optionally a convolution block.
class TransposedUp : public torch::nn::Module {
 public:
  TransposedUp(std::int64_t in, std::int64_t out, const Grid& factor, bool more_convolution,
               const ConvolutionStyle& style);
  torch::Tensor forward(const torch::Tensor& volume);

 private:
  std::shared_ptr<Convolution> proj_;
  std::shared_ptr<ConvolutionBlock> proj1_;
};

/// `depth` mixers of a kind ('M', 'T'); null for 'N'.
std::shared_ptr<TokenStack> make_mixers(char kind, const TokenMixerShape& mamba, const AttentionShape& attention,
                                        double mlp_ratio, double norm_eps, std::int64_t depth);

/// Initialises every layer as the released code does (network-wide rule last), from `seed`.
void initialise_ulike(torch::nn::Module& network, std::uint64_t seed, bool keep_dt);

/// What each axis of the patch must be a multiple of.
std::array<std::int64_t, 3> ulike_divisors(bool released_decoder);

/// Throws UserError where the patch does not fit, saying which sizes do.
std::shared_ptr<Network> build_ulike(const NetworkInput& input, const UlikeConfig& config, std::uint64_t seed);

}  // namespace m3d
