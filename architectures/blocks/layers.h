#pragma once
// The layers that families share. Volumes are [B, C, D, H, W] in channels-last strides, tokens [B, D*H*W, C]: the same
// memory, so that going from one to the other is a view. Module and parameter names are PyTorch's.
#include <torch/torch.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace m3d {

using Grid = std::array<std::int64_t, 3>;  // D, H, W

inline std::int64_t voxels(const Grid& grid) { return grid[0] * grid[1] * grid[2]; }
/// Of a slice [B, C, H, W] the depth is 1.
Grid grid_of(const torch::Tensor& volume);
/// [B, C, D, H, W] (or [B, C, H, W]) → [B, D*H*W, C], row-major.
torch::Tensor tokens_of(const torch::Tensor& volume);
/// [B, D*H*W, C] → [B, C, D, H, W].
torch::Tensor volume_of(const torch::Tensor& tokens, const Grid& grid);

/// While one lives, new parameters are shapes without memory (device meta) and initialisation does nothing: for
/// counting parameters and multiply-accumulates. One thread only.
class MetaParameters {
 public:
  MetaParameters();
  ~MetaParameters();
  MetaParameters(const MetaParameters&) = delete;
  MetaParameters& operator=(const MetaParameters&) = delete;
};

/// An uninitialised tensor for a parameter or buffer.
torch::Tensor new_parameter(torch::IntArrayRef shape);

/// Random values of which each tensor's depend on (seed, its name) alone: networks that share a tensor start from
/// the same values in it, whatever else they have, and the order of initialisation never matters.
class ParameterRandom {
 public:
  explicit ParameterRandom(std::uint64_t seed) : seed_(seed) {}
  void uniform(torch::Tensor& tensor, const std::string& name, double low, double high) const;
  void normal(torch::Tensor& tensor, const std::string& name, double std) const;
  /// Normal, cut at [-2, 2] (absolute), as timm's trunc_normal_.
  void truncated_normal(torch::Tensor& tensor, const std::string& name, double std) const;

 private:
  std::uint64_t seed_;
};

class Linear : public torch::nn::Module {
 public:
  Linear(std::int64_t in, std::int64_t out, bool with_bias);
  torch::Tensor forward(const torch::Tensor& x) const { return torch::linear(x, weight, bias); }
  torch::Tensor weight, bias;  // bias undefined where there is none
};

/// With `dimensions` 2 the layer takes slices [B, C, H, W]: its weight is [out, in, kH, kW] and the first entry of each
/// triple is not used.
struct ConvolutionShape {
  std::int64_t in = 1, out = 1;
  std::array<std::int64_t, 3> kernel{1, 1, 1}, stride{1, 1, 1}, padding{0, 0, 0};
  std::array<std::int64_t, 3> output_padding{0, 0, 0};  // of transposed convolutions
  int dimensions = 3;
  std::int64_t groups = 1;
  bool bias = true;
  bool transposed = false;
  bool weight_standardisation = false;    // each output channel's weight to mean 0, variance 1 before use
  double standardisation_eps = 1e-10;     // added to that variance
  bool unbiased_standardisation = false;  // the variance is the unbiased one
};

/// A kernel of size k with stride s and padding k/2.
ConvolutionShape cubic_convolution(std::int64_t in, std::int64_t out, std::int64_t k, std::int64_t s, bool bias);

/// The same of slices.
ConvolutionShape square_convolution(std::int64_t in, std::int64_t out, std::int64_t k, std::int64_t s, bool bias);

class Convolution : public torch::nn::Module {
 public:
  explicit Convolution(const ConvolutionShape& shape);
  torch::Tensor forward(const torch::Tensor& volume) const;
  const ConvolutionShape shape;
  torch::Tensor weight, bias;
};

class LayerNorm : public torch::nn::Module {
 public:
  LayerNorm(std::int64_t channels, double eps);
  torch::Tensor forward(const torch::Tensor& x) const;
  torch::Tensor weight, bias;

 private:
  double eps_;
};

/// x / sqrt(mean(x^2 over channels) + eps) * weight.
class RmsNorm : public torch::nn::Module {
 public:
  RmsNorm(std::int64_t channels, double eps);
  torch::Tensor forward(const torch::Tensor& x) const;
  torch::Tensor weight;

 private:
  double eps_;
};

struct VolumeNormShape {
  std::string kind = "IN";
  std::int64_t channels = 1;
  double eps = 1e-5;
  bool affine = true;
  std::int64_t groups = 16;                     // of GN
  double momentum = 0.1;                        // of running statistics
  std::optional<bool> running_statistics = {};  // of IN and BN, for use in evaluation; default: BN has them
};

/// A normalisation of volumes, slices or tokens [B, C, …] by the name that the Ulike and CoTr code give it: IN
/// (instance), GN (groups), BN and SyncBN (batch; over this process), LN (over the last axis, which must be as long as
/// there are channels), none.
class VolumeNorm : public torch::nn::Module {
 public:
  explicit VolumeNorm(const VolumeNormShape& shape);
  VolumeNorm(const std::string& kind, std::int64_t channels);
  torch::Tensor forward(const torch::Tensor& volume);
  const VolumeNormShape shape;
  torch::Tensor weight, bias;  // undefined unless affine

 private:
  torch::Tensor by_batch(const torch::Tensor& volume);
  torch::Tensor running_mean_, running_var_, batches_;  // undefined without running statistics
};

/// "LeakyReLU" (of slope `negative_slope`), "ReLU", "SiLU", "ELU" or "Hardswish", in place; "GELU" (erf); "none".
torch::Tensor activate(torch::Tensor x, const std::string& kind, double negative_slope = 0.01);

/// What surrounds a convolution, in the originals' words.
struct ConvolutionStyle {
  std::string norm = "IN";
  std::string activation = "LeakyReLU";
  bool weight_standardisation = false;
  bool unbiased_standardisation = false;  // CoTr's: by the unbiased variance + 1e-12
};

/// The shape without bias, its weights standardised as the style says.
ConvolutionShape styled(ConvolutionShape shape, const ConvolutionStyle& style);

/// Convolution without bias, normalisation, activation: children `conv` and `norm`.
class ConvolutionBlock : public torch::nn::Module {
 public:
  ConvolutionBlock(ConvolutionShape shape, const ConvolutionStyle& style);
  torch::Tensor forward(const torch::Tensor& volume);

 private:
  std::shared_ptr<Convolution> conv_;
  std::shared_ptr<VolumeNorm> norm_;
  std::string activation_;
};

/// A strided ConvolutionBlock `proj` and, with `second_groups` > 0, another of stride 1 and so many groups, `proj1`.
class PatchEmbedding : public torch::nn::Module {
 public:
  PatchEmbedding(const ConvolutionShape& shape, const ConvolutionStyle& style, std::int64_t second_groups = 0);
  torch::Tensor forward(const torch::Tensor& volume);

 private:
  std::shared_ptr<ConvolutionBlock> proj_, proj1_;
};

/// Mixes tokens [B, L, C] that lie on `grid`; any number of layers.
class TokenStack : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(torch::Tensor tokens, const Grid& grid) = 0;
};

}  // namespace m3d
