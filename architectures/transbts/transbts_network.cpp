#include "architectures/transbts/transbts_network.h"

#include "architectures/blocks/initialise.h"
#include "architectures/family.h"
#include "architectures/transbts/transbts_parts.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr std::int64_t kFixedPositions = 512;  // rows of the fixed table

/// Learned: a row a token. Fixed: the original adds row b to all tokens of sample b.
class PositionEncoding : public torch::nn::Module {
 public:
  PositionEncoding(bool fixed, std::int64_t tokens, std::int64_t width) : fixed_(fixed) {
    if (fixed)
      table_ = register_buffer("pe", new_parameter({kFixedPositions, 1, width}));
    else
      table_ = register_parameter("position_embeddings", new_parameter({1, tokens, width}));
  }
  torch::Tensor forward(const torch::Tensor& tokens) const {
    return tokens + (fixed_ ? table_.narrow(0, 0, tokens.size(0)) : table_);
  }
  void initialise();

 private:
  bool fixed_;
  torch::Tensor table_;
};

/// Learned ones start at zero. The fixed table is Vaswani et al.'s: sines in even, cosines in odd channels.
void PositionEncoding::initialise() {
  if (!fixed_ || table_.is_meta()) {
    table_.zero_();
    return;
  }
  const std::int64_t width = table_.size(2);
  const auto position = torch::arange(kFixedPositions, torch::kFloat32).unsqueeze(1);
  const auto rate = -torch::log(torch::full({}, 10000.0F)) / width;
  const auto frequency = torch::exp(torch::arange(0, width, 2, torch::kFloat32) * rate);
  const auto angles = position * frequency;
  table_.copy_(torch::stack({angles.sin(), angles.cos()}, -1).reshape({kFixedPositions, 1, width}));
}

class TransBts : public Network {
 public:
  TransBts(const NetworkInput& input, const TransBtsConfig& config);
  std::vector<torch::Tensor> forward(const torch::Tensor& image) override;
  std::vector<torch::Tensor> forward_all(const torch::Tensor& image) override { return forward(image); }
  PositionEncoding& positions() { return *position_encoding_; }

 private:
  void register_decoder(std::int64_t classes, std::int64_t width);
  torch::Tensor transformed(const torch::Tensor& volume);

  NetworkInput input_;
  bool probabilities_;
  std::shared_ptr<PositionEncoding> position_encoding_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<TransBtsTransformer> transformer_;
  std::shared_ptr<Convolution> conv_x_, endconv_;
  std::shared_ptr<TransBtsEncoder> encoder_;
  std::shared_ptr<VolumeNorm> bn_;
  std::shared_ptr<TransBtsDecoderBlock> block8_1_, block8_2_;
  std::array<std::shared_ptr<TransBtsUp>, 3> ups_;  // finest first, as the skips
  std::array<std::shared_ptr<TransBtsDecoderBlock>, 3> blocks_;
};

TransBts::TransBts(const NetworkInput& input, const TransBtsConfig& config)
    : input_(input), probabilities_(config.probabilities), dropout_(std::make_shared<Dropout>(config.dropout)) {
  const std::int64_t width = config.embedding_dim, deepest = width / 4;
  const Grid grid{input.patch[0] / 8, input.patch[1] / 8, input.patch[2] / 8};
  register_module("linear_encoding", std::make_shared<Linear>(config.flatten_dim, width, true));
  position_encoding_ = register_module("position_encoding",
                                       std::make_shared<PositionEncoding>(config.fixed_positions, voxels(grid), width));
  register_module("pe_dropout", dropout_);
  transformer_ = register_module("transformer", std::make_shared<TransBtsTransformer>(config));
  register_module("pre_head_ln", std::make_shared<LayerNorm>(width, 1e-5));
  conv_x_ = register_module("conv_x", std::make_shared<Convolution>(cubic_convolution(deepest, width, 3, 1, true)));
  encoder_ =
      register_module("Unet", std::make_shared<TransBtsEncoder>(input.channels, width / 32, config.initial_dropout));
  bn_ = register_module("bn", std::make_shared<VolumeNorm>("BN", deepest));
  register_decoder(input.classes, width);
}

void TransBts::register_decoder(std::int64_t classes, std::int64_t width) {
  const std::int64_t deepest = width / 4;
  block8_1_ = register_module("Enblock8_1", std::make_shared<TransBtsDecoderBlock>(width, deepest, /*residual=*/false,
                                                                                   TransBtsOrder::norms_first));
  block8_2_ = register_module("Enblock8_2", std::make_shared<TransBtsDecoderBlock>(deepest, deepest, /*residual=*/true,
                                                                                   TransBtsOrder::norms_in_the_middle));
  for (std::size_t i = 3; i-- > 0;) {
    const std::string number = std::to_string(i + 2);
    const std::int64_t out = (width / 32) << i;
    ups_[i] = register_module("DeUp" + number, std::make_shared<TransBtsUp>(2 * out, out));
    blocks_[i] = register_module(
        "DeBlock" + number,
        std::make_shared<TransBtsDecoderBlock>(out, out, /*residual=*/true, TransBtsOrder::convolutions_in_the_middle));
  }
  endconv_ =
      register_module("endconv", std::make_shared<Convolution>(cubic_convolution(width / 32, classes, 1, 1, true)));
}

/// The deepest level's volume through the transformer, and as a volume again.
torch::Tensor TransBts::transformed(const torch::Tensor& volume) {
  const auto embedded = conv_x_->forward(activate(bn_->forward(volume), "ReLU"));
  const auto tokens = dropout_->forward(position_encoding_->forward(tokens_of(embedded)));
  return volume_of(transformer_->forward(tokens), grid_of(embedded));
}

std::vector<torch::Tensor> TransBts::forward(const torch::Tensor& image) {
  require_image("TransBTS", image, input_);
  const auto levels = encoder_->forward(image.contiguous(torch::MemoryFormat::ChannelsLast3d));
  auto x = block8_2_->forward(block8_1_->forward(transformed(levels[3])));
  for (std::size_t i = 3; i-- > 0;) x = blocks_[i]->forward(ups_[i]->forward(x, levels[i]));
  const auto logits = endconv_->forward(x);
  return {probabilities_ ? torch::softmax(logits, 1) : logits};
}

}  // namespace

TransBtsConfig transbts_config(const Json& options) {
  TransBtsConfig config;
  config.embedding_dim = options.at("embedding_dim");
  if (config.embedding_dim % 256 != 0)
    throw UserError(
        "option 'embedding_dim' must be a multiple of 256 (the encoder's first width is 1/32 of it, in 8 "
        "groups), got " +
        std::to_string(config.embedding_dim));
  if (!options.at("conv_patch_representation").get<bool>())
    throw UserError(
        "option 'conv_patch_representation': false cannot run, in the original neither: its encoder gives "
        "four volumes where that branch takes one, and its token numbers do not meet the decoder's");
  config.heads = options.at("num_heads"), config.layers = options.at("num_layers");
  config.hidden_dim = options.at("hidden_dim");
  config.dropout = options.at("dropout_rate"), config.attention_dropout = options.at("attn_dropout_rate");
  config.initial_dropout = options.at("initial_dropout_rate");
  config.fixed_positions = options.at("positional_encoding_type") == "fixed";
  config.run_unread_layers = options.at("released_cost");
  config.probabilities = options.at("output") == "probabilities";
  config.flatten_dim = config.embedding_dim / 4 * options.at("linear_encoding_channels").get<std::int64_t>();
  return config;
}

std::shared_ptr<Network> build_transbts(const NetworkInput& input, const TransBtsConfig& config, std::uint64_t seed) {
  require_multiples("TransBTS", input.patch, kTransBtsDivisors,
                    "three strided convolutions come before the transformer");
  auto network = std::make_shared<TransBts>(input, config);
  const torch::NoGradGuard no_grad;
  initialise_as_pytorch(*network, ParameterRandom(seed));
  network->positions().initialise();
  return network;
}

}  // namespace m3d
