#pragma once
// U-Mamba's parts (Ma et al., arXiv:2401.04722; nnunetv2/nets/UMambaBot_3d.py and UMambaEnc_3d.py of
// bowang-lab/U-Mamba). Volumes are [B, C, D, H, W], slices [B, C, H, W].
#include "architectures/blocks/token_mixer.h"
#include "architectures/blocks/unet_units.h"

namespace m3d {

struct MambaLayerShape {
  std::int64_t dim = 0, d_state = 16, d_conv = 4;
  bool checkpointed = false;
  double expand = 2;
  bool channel_token = false;  // tokens are the channels, of `dim` voxels each; else the voxels, of `dim` channels each
  bool mixer = true;
};

/// mamba(norm(tokens)) in the volume's place, without residual, in full precision; norm(tokens) without mixer.
class MambaLayer : public torch::nn::Module {
 public:
  explicit MambaLayer(const MambaLayerShape& shape);
  /// Keeps the shape; throws UserError where channel tokens have another number of voxels.
  torch::Tensor forward(const torch::Tensor& volume);

 private:
  MambaLayerShape shape_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<TokenMixer> mamba_;
};

/// Two convolutions with norm around which a 1x1x1 convolution (of the same stride) leads. Unlike other units' its
/// convolutions have a bias whatever the style says. Children conv1, norm1, conv2, norm2, conv3.
class ProjectedUnit : public torch::nn::Module {
 public:
  ProjectedUnit(std::int64_t in, std::int64_t out, const Triple& kernel, const Triple& stride, const UnitStyle& style,
                bool projection = true);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  UnitStyle style_;
  std::shared_ptr<Convolution> conv1_, conv2_, conv3_;
  std::shared_ptr<VolumeNorm> norm1_, norm2_;
};

/// A ProjectedUnit, then residual units, `count` in all: 0, 1, ….
class ProjectedUnits : public torch::nn::Module {
 public:
  ProjectedUnits(std::int64_t count, std::int64_t in, std::int64_t out, const Triple& kernel, const Triple& stride,
                 const UnitStyle& style);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  std::shared_ptr<ProjectedUnit> first_;
  std::vector<std::shared_ptr<ResidualUnit>> others_;
};

/// Every voxel repeated `factor` times along each axis, then a 1x1x1 convolution `conv`.
class NearestUp : public torch::nn::Module {
 public:
  NearestUp(std::int64_t in, std::int64_t out, const Triple& factor, int dimensions);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  Triple factor_;
  std::shared_ptr<Convolution> conv_;
};

}  // namespace m3d
