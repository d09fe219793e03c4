#pragma once
// The parts of TransBTS, by the names of the original's files.
#include "architectures/blocks/qkv_attention.h"
#include "architectures/blocks/stochastic.h"
#include "architectures/transbts/transbts_network.h"

namespace m3d {

/// x + conv2(relu(norm2(conv1(relu(norm1(x)))))), the norms (named bn) of eight groups.
class TransBtsEncoderBlock : public torch::nn::Module {
 public:
  explicit TransBtsEncoderBlock(std::int64_t width);
  torch::Tensor forward(const torch::Tensor& volume);

 private:
  std::shared_ptr<VolumeNorm> bn1_, bn2_;
  std::shared_ptr<Convolution> conv1_, conv2_;
};

/// Unet_skipconnection.py: an initial convolution with channel dropout, then 1, 2, 2, 4 blocks, halving in between.
class TransBtsEncoder : public torch::nn::Module {
 public:
  TransBtsEncoder(std::int64_t channels, std::int64_t base, double initial_dropout);
  /// [B, C, D, H, W] → the four levels' volumes of width base to 8 * base, finest first.
  std::vector<torch::Tensor> forward(const torch::Tensor& image);

 private:
  std::shared_ptr<Convolution> initial_;
  std::shared_ptr<ChannelDropout> dropout_;
  std::vector<std::vector<std::shared_ptr<TransBtsEncoderBlock>>> levels_;
  std::vector<std::shared_ptr<Convolution>> downs_;
};

/// Where the layers of a block of two convolutions stand in the original's state.
enum class TransBtsOrder { norms_first, norms_in_the_middle, convolutions_in_the_middle };

/// relu(bn2(conv2(relu(bn1(conv1(x)))))), plus x if `residual`.
class TransBtsDecoderBlock : public torch::nn::Module {
 public:
  TransBtsDecoderBlock(std::int64_t in, std::int64_t out, bool residual, TransBtsOrder order);
  torch::Tensor forward(const torch::Tensor& volume);

 private:
  bool residual_;
  std::shared_ptr<VolumeNorm> bn1_, bn2_;
  std::shared_ptr<Convolution> conv1_, conv2_;
};

/// 1x1x1 convolution, transposed 2x2x2, concatenation with the skip, 1x1x1 convolution.
class TransBtsUp : public torch::nn::Module {
 public:
  TransBtsUp(std::int64_t in, std::int64_t out);
  torch::Tensor forward(const torch::Tensor& volume, const torch::Tensor& skip);

 private:
  std::shared_ptr<Convolution> conv1_, conv2_, conv3_;
};

/// Attention and MLP in turn, each a residual of its normalised input: net.0, net.1, …
class TransBtsTransformer : public torch::nn::Module {
 public:
  explicit TransBtsTransformer(const TransBtsConfig& config);
  /// [B, L, C] → the tokens after the fourth MLP, which is what the decoder takes however many layers there are.
  torch::Tensor forward(torch::Tensor tokens);

 private:
  struct Layer {
    std::shared_ptr<LayerNorm> attention_norm, mlp_norm;
    std::shared_ptr<QkvAttention> attention;
    std::shared_ptr<Linear> expand, contract;
  };
  void register_layer(std::int64_t index, torch::nn::Module& net, const TransBtsConfig& config);
  torch::Tensor run(const Layer& layer, torch::Tensor tokens);
  bool run_unread_;
  std::vector<Layer> layers_;
  std::shared_ptr<Dropout> dropout_;
};

}  // namespace m3d
