#include "architectures/levit_unet/levit_network.h"

#include "architectures/blocks/bilinear_decoder.h"
#include "architectures/blocks/initialise.h"
#include "architectures/blocks/slices.h"
#include "architectures/levit_unet/levit_attention.h"
#include "common/error.h"

namespace m3d {
namespace {

/// x + branch(x), the branch being attention or an MLP: child m.
class Residual : public torch::nn::Module {
 public:
  Residual(std::shared_ptr<LevitAttention> attention, std::shared_ptr<LevitMlp> mlp, double drop_path)
      : attention_(std::move(attention)), mlp_(std::move(mlp)) {
    if (attention_) register_module("m", attention_);
    if (mlp_) register_module("m", mlp_);
    drop_path_ = register_module("drop", std::make_shared<DropPath>(drop_path));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return x + drop_path_->forward(attention_ ? attention_->forward(x) : mlp_->forward(x));
  }

 private:
  std::shared_ptr<LevitAttention> attention_;
  std::shared_ptr<LevitMlp> mlp_;
  std::shared_ptr<DropPath> drop_path_;
};

/// The blocks of a stage: downsampling attention with its MLP, then attention and MLP in turn. They are numbered
/// through all stages, so they belong to a list that the network holds.
class Stage {
 public:
  Stage(const LevitStage& shape, const LevitConfig& config, torch::nn::Module& list, std::int64_t& number) {
    const auto add = [&](std::shared_ptr<LevitAttention> attention, std::shared_ptr<LevitMlp> mlp) {
      blocks_.push_back(
          list.register_module(std::to_string(number++),
                               std::make_shared<Residual>(std::move(attention), std::move(mlp), config.drop_path)));
    };
    const auto add_mlp = [&](std::int64_t inner) {
      if (inner > 0) add(nullptr, std::make_shared<LevitMlp>(shape.attention.dim, inner, config.mlp_activation));
    };
    if (shape.downsample) {
      downsample_ = list.register_module(std::to_string(number++),
                                         std::make_shared<LevitAttention>(*shape.downsample, /*downsample=*/true));
      add_mlp(shape.downsample_mlp);
    }
    for (std::int64_t i = 0; i < shape.depth; ++i) {
      add(std::make_shared<LevitAttention>(shape.attention, /*downsample=*/false), nullptr);
      add_mlp(shape.mlp);
    }
  }

  torch::Tensor forward(torch::Tensor tokens) const {
    if (downsample_) tokens = downsample_->forward(tokens);
    for (const auto& block : blocks_) tokens = block->forward(tokens);
    return tokens;
  }

 private:
  std::shared_ptr<LevitAttention> downsample_;
  std::vector<std::shared_ptr<Residual>> blocks_;
};

class LevitUnet : public SliceNetwork {
 public:
  LevitUnet(const NetworkInput& input, const LevitConfig& config) : config_(config) {
    register_stem(input.channels);
    register_decoder(input.classes);
    register_stages();
  }

  std::vector<torch::Tensor> forward_slices(const torch::Tensor& given, bool) override {
    if (given.size(2) != config_.image || given.size(3) != config_.image)
      throw UserError("this LeViT-UNet takes slices of " + std::to_string(config_.image) + " x " +
                      std::to_string(config_.image) + ", got " + Json(given.sizes().vec()).dump() +
                      "; build it for that size");
    std::vector<torch::Tensor> skips;  // at 1/2, 1/4, 1/8
    auto x = given.contiguous(torch::MemoryFormat::ChannelsLast);
    for (std::size_t i = 0; i + 1 < stem_.size(); ++i) skips.push_back(x = activate(stem_[i]->forward(x), "Hardswish"));
    x = stages_side_by_side(stem_.back()->forward(x));
    for (std::size_t i = 0; i < decoder_.size(); ++i)
      x = torch::cat({decoder_[i]->forward(x), skips[skips.size() - 1 - i]}, 1);
    return {doubled_bilinear(head_->forward(x))};
  }

 private:
  /// The stem's output [B, C, h, w] and, at its resolution, that of every stage.
  torch::Tensor stages_side_by_side(const torch::Tensor& stem) {
    std::vector<torch::Tensor> all{stem};
    auto tokens = tokens_of(stem);
    const std::int64_t edge = stem.size(2);
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      tokens = stages_[i].forward(tokens);
      const std::int64_t resolution = config_.stages[i].attention.resolution;
      auto slices = volume_of(tokens, {1, resolution, resolution}).squeeze(2);
      for (std::size_t doubled = 0; doubled < i; ++doubled) slices = doubled_bilinear(slices);
      all.push_back(slices.size(2) == edge ? slices : resized_bilinear(slices, edge, edge));
    }
    return torch::cat(all, 1);
  }

  /// A quarter, … of the first stage's width; an activation follows all but the last.
  void register_stem(std::int64_t channels) {
    const std::int64_t width = config_.stages[0].attention.dim;
    for (int i = 0; i < 4; ++i) {
      const auto place = register_module("cnn_b" + std::to_string(i + 1), std::make_shared<torch::nn::Module>());
      const std::int64_t out = width >> (3 - i);
      stem_.push_back(place->register_module("0", std::make_shared<StridedConvolutionBatchNorm>(channels, out)));
      channels = out;
    }
  }

  void register_decoder(std::int64_t classes) {
    const std::int64_t width = config_.stages[0].attention.dim;
    std::int64_t in = width;
    for (const auto& stage : config_.stages) in += stage.attention.dim;
    for (std::size_t i = 0; i < config_.decoder_channels.size(); ++i) {
      const std::int64_t out = config_.decoder_channels[i];
      decoder_.push_back(
          register_module("decoderBlock_" + std::to_string(i + 1), std::make_shared<BilinearDecoderBlock>(in, out)));
      in = out + (width >> (i + 1));
    }
    const auto head = register_module("segmentation_head", std::make_shared<torch::nn::Module>());
    head_ = head->register_module("0", std::make_shared<Convolution>(square_convolution(in, classes, 3, 1, true)));
  }

  void register_stages() {
    std::int64_t number = 0;
    std::shared_ptr<torch::nn::Module> list;
    for (std::size_t i = 0; i < config_.stages.size(); ++i) {
      if (i == 0 || !config_.one_list)
        list = register_module(config_.one_list ? "blocks" : "block_" + std::to_string(i + 1),
                               std::make_shared<torch::nn::Module>());
      stages_.emplace_back(config_.stages[i], config_, *list, number);
    }
  }

  LevitConfig config_;
  std::vector<std::shared_ptr<StridedConvolutionBatchNorm>> stem_;
  std::vector<std::shared_ptr<BilinearDecoderBlock>> decoder_;
  std::shared_ptr<Convolution> head_;
  std::vector<Stage> stages_;
};

/// PyTorch's defaults; attention biases 0, and residual branches (like the downsampling attention) start at zero.
void initialise_levit(torch::nn::Module& network, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  initialise_as_pytorch(network, ParameterRandom(seed));
  for_each_layer<LevitAttention>(network, [](LevitAttention& attention, const std::string&) {
    attention.named_parameters()["attention_biases"].zero_();
    attention.last_norm()->weight.zero_();
  });
  for_each_layer<LevitMlp>(network, [](LevitMlp& mlp, const std::string&) { mlp.last_norm()->weight.zero_(); });
}

}  // namespace

std::shared_ptr<Network> build_levit_unet(const NetworkInput& input, const Json& options, std::uint64_t seed) {
  if (input.patch[1] != input.patch[2])
    throw UserError("patch " + Json(input.patch).dump() +
                    " does not fit LeViT-UNet: its slices are square, so H and W must be equal");
  auto network = std::make_shared<LevitUnet>(input, levit_config(options, input.patch[1]));
  initialise_levit(*network, seed);
  return network;
}

}  // namespace m3d
