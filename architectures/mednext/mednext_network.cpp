#include "architectures/mednext/mednext_network.h"

#include "architectures/blocks/checkpoint.h"
#include "architectures/blocks/initialise.h"
#include "architectures/blocks/slices.h"
#include "architectures/mednext/mednext_block.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr std::size_t kHalvings = 4;

using Blocks = std::vector<std::shared_ptr<MednextBlock>>;

class MednextNetwork : public SliceNetwork {
 public:
  MednextNetwork(const NetworkInput& input, const MednextConfig& config);
  std::vector<torch::Tensor> forward_slices(const torch::Tensor& image, bool coarser) override;

 private:
  MednextBlockShape shape_of(std::size_t stage, std::size_t level) const;
  Blocks register_blocks(const std::string& name, std::size_t stage, std::size_t level);
  std::shared_ptr<MednextBlock> register_resampling(const std::string& name, std::size_t stage, std::size_t from,
                                                    std::size_t to);
  void register_encoder();
  void register_decoder();
  void register_heads(std::int64_t classes);
  torch::Tensor run(const std::shared_ptr<MednextBlock>& block, const torch::Tensor& x) const;
  torch::Tensor run(const Blocks& blocks, torch::Tensor x) const;
  std::int64_t width(std::size_t level) const { return config_.channels << level; }

  MednextConfig config_;
  std::shared_ptr<Convolution> stem_;
  std::vector<Blocks> encoder_, decoder_;  // by level, the finest first
  Blocks down_, up_;
  Blocks bottleneck_;
  std::vector<std::shared_ptr<Convolution>> heads_;
};

MednextNetwork::MednextNetwork(const NetworkInput& input, const MednextConfig& config)
    : SliceNetwork(config.dimensions), config_(config), decoder_(kHalvings), up_(kHalvings) {
  // The original holds it for PyTorch's checkpointing, which wants an input that needs a gradient.
  register_parameter("dummy_tensor", new_parameter({1}));
  auto stem = cubic_convolution(input.channels, config.channels, 1, 1, true);
  stem.dimensions = config.dimensions;
  stem_ = register_module("stem", std::make_shared<Convolution>(stem));
  register_encoder();
  bottleneck_ = register_blocks("bottleneck", kHalvings, kHalvings);
  register_decoder();
  register_heads(input.classes);
}

MednextBlockShape MednextNetwork::shape_of(std::size_t stage, std::size_t level) const {
  MednextBlockShape shape;
  shape.in = shape.out = width(level);
  shape.expansion = config_.expansion[stage];
  shape.kernel = stage < kHalvings ? config_.encoder_kernel : config_.decoder_kernel;
  shape.residual = config_.residual, shape.grn = config_.grn, shape.layer_norm = config_.layer_norm;
  shape.dimensions = config_.dimensions;
  return shape;
}

Blocks MednextNetwork::register_blocks(const std::string& name, std::size_t stage, std::size_t level) {
  const auto list = register_module(name, std::make_shared<torch::nn::Module>());
  Blocks blocks;
  for (std::int64_t i = 0; i < config_.block_counts[stage]; ++i)
    blocks.push_back(list->register_module(std::to_string(i), std::make_shared<MednextBlock>(shape_of(stage, level))));
  return blocks;
}

std::shared_ptr<MednextBlock> MednextNetwork::register_resampling(const std::string& name, std::size_t stage,
                                                                  std::size_t from, std::size_t to) {
  MednextBlockShape shape = shape_of(stage, from);
  shape.out = width(to);
  shape.resampling = to > from ? Resampling::down : Resampling::up;
  // The way down has the encoder's kernel, into the bottleneck too; the first step never has a response norm.
  if (to > from) shape.kernel = config_.encoder_kernel;
  if (from == 0) shape.grn = false;
  shape.residual = config_.residual_resampling;
  return register_module(name, std::make_shared<MednextBlock>(shape));
}

void MednextNetwork::register_encoder() {
  for (std::size_t level = 0; level < kHalvings; ++level) {
    const std::string number = std::to_string(level);
    encoder_.push_back(register_blocks("enc_block_" + number, level, level));
    down_.push_back(register_resampling("down_" + number, level + 1, level, level + 1));
  }
}

void MednextNetwork::register_decoder() {
  for (std::size_t level = kHalvings; level-- > 0;) {
    const std::string number = std::to_string(level);
    const std::size_t stage = 2 * kHalvings - level;
    up_[level] = register_resampling("up_" + number, stage, level + 1, level);
    decoder_[level] = register_blocks("dec_block_" + number, stage, level);
  }
}

void MednextNetwork::register_heads(std::int64_t classes) {
  const std::size_t count = config_.deep_supervision ? kHalvings + 1 : 1;
  for (std::size_t level = 0; level < count; ++level) {
    auto shape = cubic_convolution(width(level), classes, 1, 1, true);
    shape.dimensions = config_.dimensions, shape.transposed = true;
    const auto out = register_module("out_" + std::to_string(level), std::make_shared<torch::nn::Module>());
    heads_.push_back(out->register_module("conv_out", std::make_shared<Convolution>(shape)));
  }
}

torch::Tensor MednextNetwork::run(const std::shared_ptr<MednextBlock>& block, const torch::Tensor& x) const {
  if (!config_.checkpointed) return block->forward(x);
  return checkpointed([block](const torch::Tensor& input) { return block->forward(input); }, x);
}

torch::Tensor MednextNetwork::run(const Blocks& blocks, torch::Tensor x) const {
  for (const auto& block : blocks) x = run(block, x);
  return x;
}

std::vector<torch::Tensor> MednextNetwork::forward_slices(const torch::Tensor& image, bool coarser) {
  const auto format = image.dim() == 5 ? torch::MemoryFormat::ChannelsLast3d : torch::MemoryFormat::ChannelsLast;
  auto x = stem_->forward(image.contiguous(format));
  std::vector<torch::Tensor> skips, logits;
  for (std::size_t level = 0; level < kHalvings; ++level) {
    skips.push_back(run(encoder_[level], x));
    x = run(down_[level], skips.back());
  }
  x = run(bottleneck_, x);
  for (std::size_t level = kHalvings; level > 0; --level) {
    if (coarser && config_.deep_supervision) logits.insert(logits.begin(), heads_[level]->forward(x));
    x = run(decoder_[level - 1], skips[level - 1] + run(up_[level - 1], x));
  }
  logits.insert(logits.begin(), heads_[0]->forward(x));
  return logits;
}

/// PyTorch's defaults; the response norms start as the identity.
void initialise_mednext(torch::nn::Module& network, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  initialise_as_pytorch(network, ParameterRandom(seed));
  for (auto& parameter : network.named_parameters()) {
    if (parameter.key().find("grn_") != std::string::npos) parameter.value().zero_();
    if (parameter.key() == "dummy_tensor") parameter.value().fill_(1);
  }
}

}  // namespace

std::array<std::int64_t, 3> mednext_divisors(const MednextConfig& config) {
  constexpr std::int64_t factor = 1 << kHalvings;
  return {config.dimensions == 2 ? 1 : factor, factor, factor};
}

std::shared_ptr<Network> build_mednext(const NetworkInput& input, const MednextConfig& config, std::uint64_t seed) {
  const auto divisors = mednext_divisors(config);
  bool fits = true;
  std::int64_t coarsest = 1;
  for (std::size_t axis = config.dimensions == 2 ? 1 : 0; axis < 3; ++axis) {
    fits = fits && input.patch[axis] > 0 && input.patch[axis] % divisors[axis] == 0;
    coarsest *= input.patch[axis] / divisors[axis];
  }
  if (!fits || (coarsest < 2 && !config.layer_norm))
    throw UserError("patch " + Json(input.patch).dump() + " does not fit MedNeXt: [D, H, W] must be multiples of " +
                    Json(divisors).dump() +
                    (fits ? " and leave more than one voxel for the norm of the bottleneck" : ""));
  auto network = std::make_shared<MednextNetwork>(input, config);
  initialise_mednext(*network, seed);
  return network;
}

}  // namespace m3d
