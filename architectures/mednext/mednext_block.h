#pragma once
// MedNeXt's block (Roy et al., MICCAI 2023, arXiv:2303.09975, Fig. 1; mednextv1/blocks.py of MIC-DKFZ/MedNeXt):
// depthwise convolution, norm, expansion, GELU, compression; its down and up forms stride by two.
#include "architectures/blocks/layers.h"

namespace m3d {

enum class Resampling { none, down, up };

struct MednextBlockShape {
  std::int64_t in = 1, out = 1, expansion = 4, kernel = 3;
  Resampling resampling = Resampling::none;
  bool residual = true, grn = false, layer_norm = false;
  int dimensions = 3;
};

/// Parameters grn_beta, grn_gamma; children conv1, norm, conv2, conv3 and, resampling with a residual, res_conv.
class MednextBlock : public torch::nn::Module {
 public:
  explicit MednextBlock(const MednextBlockShape& shape);
  /// [B, in, D, H, W] → [B, out, D', H', W'] (or slices): the same size, half of it, twice it.
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::Tensor depthwise(const torch::Tensor& x) const;
  torch::Tensor normalised(const torch::Tensor& x);
  torch::Tensor with_response_norm(const torch::Tensor& x) const;
  MednextBlockShape shape_;
  torch::Tensor grn_beta_, grn_gamma_;
  std::shared_ptr<Convolution> conv1_, conv2_, conv3_, res_conv_;
  std::shared_ptr<VolumeNorm> group_norm_;
  std::shared_ptr<LayerNorm> layer_norm_;
};

}  // namespace m3d
