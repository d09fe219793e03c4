#pragma once
// SegMamba's parts (Xing et al., arXiv:2401.13560; model_segmamba/segmamba.py of ge-xing/SegMamba). Volumes are
// [B, C, D, H, W].
#include "architectures/blocks/token_mixer.h"

namespace m3d {

/// Gated spatial convolution: two 3x3x3 convolutions beside a 1x1x1 one, joined, a last convolution, plus x; each
/// convolution with instance norm (without weights) and ReLU. Released: joined by a sum, the last one 1x1x1. Paper: by
/// a product, the last one 3x3x3. Children proj, proj2, proj3, proj4.
class GatedConvolution : public torch::nn::Module {
 public:
  GatedConvolution(std::int64_t channels, bool paper);
  torch::Tensor forward(const torch::Tensor& volume);

 private:
  bool product_;
  std::int64_t channels_;
  std::shared_ptr<Convolution> proj_, proj2_, proj3_, proj4_;
};

/// What one layer's mixer is like; width and slices differ from stage to stage.
struct ToMShape {
  std::int64_t dim = 0, slices = 1, d_state = 16, d_conv = 4;
  std::int64_t dt_rank = 0;  // 0: dim / 16, rounded up
  double expand = 2;
  bool three = true;  // forwards, backwards and across slices; else forwards only
  bool checkpointed = false;
};

/// The tri-orientated mixer (mamba_simple.py, bimamba_type v3): each orientation has parameters of its own, their sum
/// goes through one projection.
TokenMixerShape tri_orientated_mamba(const ToMShape& shape);

/// x + mamba(norm(x)) on the volume's tokens.
class ToMLayer : public torch::nn::Module {
 public:
  explicit ToMLayer(const ToMShape& shape);
  torch::Tensor forward(const torch::Tensor& volume);

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<TokenMixer> mamba_;
};

/// 1x1x1 convolution, GELU (erf), 1x1x1 convolution: fc1, fc2.
class ChannelMlp : public torch::nn::Module {
 public:
  ChannelMlp(std::int64_t channels, std::int64_t hidden);
  torch::Tensor forward(const torch::Tensor& volume);

 private:
  std::shared_ptr<Convolution> fc1_, fc2_;
};

/// Feature-level uncertainty estimation: z + z (1 - u), u = -v log v, v = sigmoid of the channels' mean. In the paper,
/// not in the released code.
torch::Tensor weighted_by_certainty(const torch::Tensor& volume);

}  // namespace m3d
