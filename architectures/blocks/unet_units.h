#pragma once
// The convolution units of nnU-Net's networks, 2D and 3D (dynamic_network_architectures/building_blocks of
// MIC-DKFZ/dynamic-network-architectures: simple_conv_blocks.py, residual.py, regularization.py). Volumes are
// [B, C, D, H, W], slices [B, C, H, W]; of the triples a 2D unit uses the last two numbers.
#include "architectures/blocks/layers.h"
#include "architectures/blocks/stochastic.h"

namespace m3d {

using Triple = std::array<std::int64_t, 3>;

/// What surrounds every convolution of a network.
struct UnitStyle {
  int dimensions = 3;
  bool bias = true;
  std::optional<VolumeNormShape> norm = VolumeNormShape{};  // channels are set unit by unit
  /// Between convolution and norm: "Dropout" (of values), "Dropout2d" or "Dropout3d" (of channels), "none".
  std::string dropout = "none";
  double dropout_rate = 0.5;
  std::string activation = "LeakyReLU";
  double negative_slope = 0.01;
  bool activation_first = false;  // before the norm instead of after it

  UnitStyle without_dropout() const;
  /// Neither dropout nor activation.
  UnitStyle linear() const;
};

/// Convolution with odd kernel and "same" padding, dropout, norm, activation: children conv, dropout, norm.
class ConvolutionUnit : public torch::nn::Module {
 public:
  /// Throws UserError for an even kernel.
  ConvolutionUnit(std::int64_t in, std::int64_t out, const Triple& kernel, const Triple& stride,
                  const UnitStyle& style);
  torch::Tensor forward(const torch::Tensor& x);
  /// Null without norm.
  const std::shared_ptr<VolumeNorm>& norm() const { return norm_; }

 private:
  torch::Tensor activated(torch::Tensor x) const;
  UnitStyle style_;
  std::shared_ptr<Convolution> conv_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<ChannelDropout> channel_dropout_;
  std::shared_ptr<VolumeNorm> norm_;
};

/// `count` units, the first of which strides: convs.0, convs.1, ….
class ConvolutionUnits : public torch::nn::Module {
 public:
  ConvolutionUnits(std::int64_t count, std::int64_t in, std::int64_t out, const Triple& kernel, const Triple& stride,
                   const UnitStyle& style);
  torch::Tensor forward(torch::Tensor x);

 private:
  std::vector<std::shared_ptr<ConvolutionUnit>> units_;
};

/// "avg" or "max" over windows of `size` that tile the volume or slice; the axes must be multiples of it. Gradients are
/// deterministic on every device, unlike those of PyTorch's 3D pooling.
torch::Tensor pooled(const torch::Tensor& x, const Triple& size, const std::string& kind);

/// Channels scaled by a gate from their means over the first two spatial axes: in a volume every column along W has
/// its own gate (the released code, written for slices, leaves W alone). Children fc1, fc2.
class SqueezeExcitation : public torch::nn::Module {
 public:
  SqueezeExcitation(std::int64_t channels, double reduction, int dimensions);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  std::shared_ptr<Convolution> fc1_, fc2_;
};

struct ResidualShape {
  Triple kernel{3, 3, 3};
  std::int64_t bottleneck = 0;  // width of BottleneckD's inner units; 0: BasicBlockD
  double stochastic_depth = 0;
  bool squeeze_excitation = false;
  double squeeze_reduction = 1.0 / 16;
};

/// ResNet-D's blocks (He et al., Bag of Tricks, 2019): BasicBlockD (two units) or BottleneckD (1, kernel, 1), plus a
/// skip of average pooling (where it strides) and a linear 1x1x1 unit (where the width changes). Children conv1,
/// conv2[, conv3], squeeze_excitation, skip.
class ResidualUnit : public torch::nn::Module {
 public:
  ResidualUnit(std::int64_t in, std::int64_t out, const ResidualShape& shape, const Triple& stride,
               const UnitStyle& style);
  torch::Tensor forward(const torch::Tensor& x);
  /// The norm before the addition, which nnU-Net starts at zero; null without norm.
  const std::shared_ptr<VolumeNorm>& last_norm() const { return units_.back()->norm(); }

 private:
  void register_skip(std::int64_t in, std::int64_t out, const UnitStyle& style);
  Triple stride_;
  UnitStyle style_;
  std::vector<std::shared_ptr<ConvolutionUnit>> units_;
  std::shared_ptr<DropPath> drop_path_;
  std::shared_ptr<SqueezeExcitation> squeeze_excitation_;
  std::shared_ptr<ConvolutionUnit> projection_;
};

/// `count` residual units, the first of which strides: blocks.0, blocks.1, ….
class ResidualUnits : public torch::nn::Module {
 public:
  ResidualUnits(std::int64_t count, std::int64_t in, std::int64_t out, const ResidualShape& shape, const Triple& stride,
                const UnitStyle& style);
  torch::Tensor forward(torch::Tensor x);

 private:
  std::vector<std::shared_ptr<ResidualUnit>> units_;
};

/// Sets the last norms of all residual units in a network to zero, so that each starts as its skip (nnU-Net's
/// init_last_bn_before_add_to_0).
void start_residual_branches_at_zero(torch::nn::Module& network);

}  // namespace m3d
