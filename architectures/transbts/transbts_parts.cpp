#include "architectures/transbts/transbts_parts.h"

#include <map>

namespace m3d {
namespace {

constexpr double kNormEps = 1e-5;
constexpr std::int64_t kGroups = 8;
constexpr std::size_t kLayersRead = 4;  // the decoder reads the output of this layer

std::shared_ptr<Convolution> convolution(std::int64_t in, std::int64_t out, std::int64_t kernel,
                                         std::int64_t stride = 1) {
  return std::make_shared<Convolution>(cubic_convolution(in, out, kernel, stride, true));
}

std::shared_ptr<VolumeNorm> group_norm(std::int64_t channels) {
  return std::make_shared<VolumeNorm>(VolumeNormShape{.kind = "GN", .channels = channels, .groups = kGroups});
}

}  // namespace

TransBtsEncoderBlock::TransBtsEncoderBlock(std::int64_t width) {
  bn1_ = register_module("bn1", group_norm(width));
  conv1_ = register_module("conv1", convolution(width, width, 3));
  bn2_ = register_module("bn2", group_norm(width));
  conv2_ = register_module("conv2", convolution(width, width, 3));
}

torch::Tensor TransBtsEncoderBlock::forward(const torch::Tensor& volume) {
  const auto inner = conv1_->forward(activate(bn1_->forward(volume), "ReLU"));
  return conv2_->forward(activate(bn2_->forward(inner), "ReLU")) + volume;
}

TransBtsEncoder::TransBtsEncoder(std::int64_t channels, std::int64_t base, double initial_dropout)
    : dropout_(std::make_shared<ChannelDropout>(initial_dropout)) {
  const auto initial = register_module("InitConv", std::make_shared<torch::nn::Module>("InitConv"));
  initial_ = initial->register_module("conv", convolution(channels, base, 3));
  register_module("dropout", dropout_);
  constexpr std::array<int, 4> blocks{1, 2, 2, 4};
  for (std::size_t level = 0; level < blocks.size(); ++level) {
    const std::string number = std::to_string(level + 1), name = "EnBlock" + number;
    const std::int64_t width = base << level;
    levels_.emplace_back();
    for (int block = 1; block <= blocks[level]; ++block)
      levels_[level].push_back(register_module(level == 0 ? name : name + "_" + std::to_string(block),
                                               std::make_shared<TransBtsEncoderBlock>(width)));
    if (level + 1 == blocks.size()) break;
    const auto down = register_module("EnDown" + number, std::make_shared<torch::nn::Module>("EnDown"));
    downs_.push_back(down->register_module("conv", convolution(width, 2 * width, 3, 2)));
  }
}

std::vector<torch::Tensor> TransBtsEncoder::forward(const torch::Tensor& image) {
  auto x = dropout_->forward(initial_->forward(image));
  std::vector<torch::Tensor> levels;
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    if (i > 0) x = downs_[i - 1]->forward(x);
    for (auto& block : levels_[i]) x = block->forward(x);
    levels.push_back(x);
  }
  return levels;
}

TransBtsDecoderBlock::TransBtsDecoderBlock(std::int64_t in, std::int64_t out, bool residual, TransBtsOrder order)
    : residual_(residual),
      bn1_(std::make_shared<VolumeNorm>("BN", out)),
      bn2_(std::make_shared<VolumeNorm>("BN", out)),
      conv1_(convolution(in, out, 3)),
      conv2_(convolution(out, out, 3)) {
  const std::map<std::string, std::shared_ptr<torch::nn::Module>> layers{
      {"bn1", bn1_}, {"bn2", bn2_}, {"conv1", conv1_}, {"conv2", conv2_}};
  const std::vector<std::string> names =
      order == TransBtsOrder::norms_first           ? std::vector<std::string>{"bn1", "bn2", "conv1", "conv2"}
      : order == TransBtsOrder::norms_in_the_middle ? std::vector<std::string>{"conv1", "bn1", "bn2", "conv2"}
                                                    : std::vector<std::string>{"bn1", "conv1", "conv2", "bn2"};
  for (const auto& name : names) register_module(name, layers.at(name));
}

torch::Tensor TransBtsDecoderBlock::forward(const torch::Tensor& volume) {
  const auto inner = activate(bn1_->forward(conv1_->forward(volume)), "ReLU");
  const auto out = activate(bn2_->forward(conv2_->forward(inner)), "ReLU");
  return residual_ ? out + volume : out;
}

TransBtsUp::TransBtsUp(std::int64_t in, std::int64_t out) {
  conv1_ = register_module("conv1", convolution(in, out, 1));
  auto up = cubic_convolution(out, out, 2, 2, true);
  up.padding.fill(0), up.transposed = true;
  conv2_ = register_module("conv2", std::make_shared<Convolution>(up));
  conv3_ = register_module("conv3", convolution(2 * out, out, 1));
}

torch::Tensor TransBtsUp::forward(const torch::Tensor& volume, const torch::Tensor& skip) {
  return conv3_->forward(torch::cat({skip, conv2_->forward(conv1_->forward(volume))}, 1));
}

TransBtsTransformer::TransBtsTransformer(const TransBtsConfig& config)
    : run_unread_(config.run_unread_layers), dropout_(std::make_shared<Dropout>(config.dropout)) {
  const auto net = register_module("net", std::make_shared<torch::nn::Module>("Sequential"));
  for (std::int64_t i = 0; i < config.layers; ++i) register_layer(i, *net, config);
  register_module("dropout", dropout_);
}

void TransBtsTransformer::register_layer(std::int64_t index, torch::nn::Module& net, const TransBtsConfig& config) {
  const std::int64_t width = config.embedding_dim;
  const auto residual = [&](std::int64_t place) {
    return net.register_module(std::to_string(place), std::make_shared<torch::nn::Module>("Residual"))
        ->register_module("fn", std::make_shared<torch::nn::Module>("PreNorm"));
  };
  Layer layer;
  const auto attention = residual(2 * index), mlp = residual(2 * index + 1);
  layer.attention_norm = attention->register_module("norm", std::make_shared<LayerNorm>(width, kNormEps));
  layer.attention = attention->register_module(
      "fn", std::make_shared<QkvAttention>(
                QkvAttentionShape{width, config.heads, false, config.attention_dropout, config.attention_dropout}));
  layer.mlp_norm = mlp->register_module("norm", std::make_shared<LayerNorm>(width, kNormEps));
  const auto sequential = mlp->register_module("fn", std::make_shared<torch::nn::Module>("FeedForward"))
                              ->register_module("net", std::make_shared<torch::nn::Module>("Sequential"));
  layer.expand = sequential->register_module("0", std::make_shared<Linear>(width, config.hidden_dim, true));
  layer.contract = sequential->register_module("3", std::make_shared<Linear>(config.hidden_dim, width, true));
  layers_.push_back(layer);
}

torch::Tensor TransBtsTransformer::run(const Layer& layer, torch::Tensor tokens) {
  tokens = dropout_->forward(layer.attention->forward(layer.attention_norm->forward(tokens))) + tokens;
  const auto inner = dropout_->forward(torch::gelu(layer.expand->forward(layer.mlp_norm->forward(tokens))));
  return dropout_->forward(layer.contract->forward(inner)) + tokens;
}

torch::Tensor TransBtsTransformer::forward(torch::Tensor tokens) {
  for (std::size_t i = 0; i < kLayersRead; ++i) tokens = run(layers_[i], tokens);
  auto unread = tokens;
  for (std::size_t i = kLayersRead; i < layers_.size() && run_unread_; ++i) unread = run(layers_[i], unread);
  return tokens;
}

}  // namespace m3d
