#include "architectures/segmamba/segmamba_network.h"

#include <numeric>

#include "architectures/blocks/initialise.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr std::size_t kStages = 4;
constexpr std::int64_t kDivisor = 16;

using Modules = std::shared_ptr<torch::nn::Module>;

Modules list_in(torch::nn::Module& parent, const std::string& name) {
  return parent.register_module(name, std::make_shared<torch::nn::Module>("ModuleList"));
}

/// Halves the volume: a 7x7x7 stem at first, instance norm and 2x2x2 convolutions then.
class Downsampling : public torch::nn::Module {
 public:
  Downsampling(std::int64_t in, std::int64_t out, bool stem) : norm_groups_(stem ? 0 : in) {
    auto shape = cubic_convolution(in, out, stem ? 7 : 2, 2, true);
    if (!stem) shape.padding.fill(0);
    convolution_ = register_module(stem ? "0" : "1", std::make_shared<Convolution>(shape));
  }
  torch::Tensor forward(const torch::Tensor& x) const {
    return convolution_->forward(norm_groups_ ? torch::group_norm(x, norm_groups_) : x);
  }

 private:
  std::int64_t norm_groups_;
  std::shared_ptr<Convolution> convolution_;
};

/// One stage's modules, which the encoder names; lists have an entry a layer, or one a stage, or none.
struct Stage {
  std::shared_ptr<Downsampling> down;
  std::vector<std::shared_ptr<GatedConvolution>> gates;
  std::vector<std::shared_ptr<ToMLayer>> mixers;
  std::vector<std::shared_ptr<LayerNorm>> mlp_norms;
  std::vector<std::shared_ptr<ChannelMlp>> mlps;
};

class MambaEncoder : public torch::nn::Module {
 public:
  MambaEncoder(std::int64_t channels, const SegmambaConfig& config) : config_(config), stages_(kStages) {
    const auto downs = list_in(*this, "downsample_layers"), mixers = list_in(*this, "stages"),
               gates = list_in(*this, "gscs"), mlps = list_in(*this, "mlps");
    for (std::size_t i = 0; i < kStages; ++i) {
      const std::int64_t width = config.widths[i];
      stages_[i].down = downs->register_module(
          std::to_string(i), std::make_shared<Downsampling>(i ? config.widths[i - 1] : channels, width, i == 0));
      register_mixers(*mixers, i);
      register_gates(*gates, i);
      register_mlps(*mlps, i);
    }
  }

  /// What each stage gives the decoder, finest first.
  std::vector<torch::Tensor> forward(torch::Tensor x) {
    std::vector<torch::Tensor> outputs;
    for (std::size_t i = 0; i < kStages; ++i) {
      const Stage& stage = stages_[i];
      x = stage.down->forward(x);
      if (config_.gsc && !config_.gsc_each_layer) x = stage.gates[0]->forward(x);
      for (std::int64_t layer = 0; layer < config_.depths[i]; ++layer) x = run_layer(stage, layer, x);
      outputs.push_back(config_.mlp_in_layers ? x : stage.mlps[0]->forward(torch::group_norm(x, config_.widths[i])));
    }
    return outputs;
  }

 private:
  void register_mixers(torch::nn::Module& list, std::size_t i) {
    const auto stage = list_in(list, std::to_string(i));
    for (std::int64_t layer = 0; config_.mixer && layer < config_.depths[i]; ++layer)
      stages_[i].mixers.push_back(
          stage->register_module(std::to_string(layer), std::make_shared<ToMLayer>(config_.tom_of(i))));
  }

  void register_gates(torch::nn::Module& list, std::size_t i) {
    if (!config_.gsc) return;
    const auto make = [&](torch::nn::Module& parent, std::int64_t name) {
      stages_[i].gates.push_back(parent.register_module(
          std::to_string(name), std::make_shared<GatedConvolution>(config_.widths[i], config_.gsc_paper)));
    };
    if (!config_.gsc_each_layer) return make(list, static_cast<std::int64_t>(i));
    const auto stage = list_in(list, std::to_string(i));
    for (std::int64_t layer = 0; layer < config_.depths[i]; ++layer) make(*stage, layer);
  }

  /// With a norm of its own where it belongs to the layers.
  void register_mlps(torch::nn::Module& list, std::size_t i) {
    const std::int64_t width = config_.widths[i];
    Stage& stage = stages_[i];
    if (!config_.mlp_in_layers) {
      stage.mlps.push_back(list.register_module(std::to_string(i), std::make_shared<ChannelMlp>(width, 2 * width)));
      return;
    }
    const auto parent = list_in(list, std::to_string(i));
    for (std::int64_t layer = 0; layer < config_.depths[i]; ++layer) {
      const auto pair = list_in(*parent, std::to_string(layer));
      stage.mlp_norms.push_back(pair->register_module("norm", std::make_shared<LayerNorm>(width, 1e-5)));
      stage.mlps.push_back(pair->register_module("mlp", std::make_shared<ChannelMlp>(width, 2 * width)));
    }
  }

  torch::Tensor run_layer(const Stage& stage, std::int64_t layer, torch::Tensor x) const {
    const auto index = static_cast<std::size_t>(layer);
    if (config_.gsc && config_.gsc_each_layer) x = stage.gates[index]->forward(x);
    if (config_.mixer) x = stage.mixers[index]->forward(x);
    if (!config_.mlp_in_layers) return x;
    const auto normed = volume_of(stage.mlp_norms[index]->forward(tokens_of(x)), grid_of(x));
    return x + stage.mlps[index]->forward(normed);
  }

  const SegmambaConfig config_;
  std::vector<Stage> stages_;
};

class SegmambaNetwork : public Network {
 public:
  SegmambaNetwork(const NetworkInput& input, const SegmambaConfig& config) : fue_(config.fue) {
    vit_ = register_module("vit", std::make_shared<MambaEncoder>(input.channels, config));
    std::vector<std::int64_t> widths{input.channels};
    widths.insert(widths.end(), config.widths.begin(), config.widths.end());
    widths.push_back(config.hidden_size);
    for (std::size_t i = 0; i + 1 < widths.size(); ++i)
      encoders_.push_back(
          register_module("encoder" + std::to_string(i + 1),
                          std::make_shared<UnetrBasicBlock>(UnetrBlockShape{widths[i], widths[i + 1]}, config.style)));
    for (std::size_t i = kStages; i > 0; --i)
      ups_.push_back(register_module(
          "decoder" + std::to_string(i + 1),
          std::make_shared<UnetrUpBlock>(UnetrBlockShape{widths[i + 1], widths[i]}, Grid{2, 2, 2}, config.style)));
    last_ = register_module("decoder1",
                            std::make_shared<UnetrBasicBlock>(UnetrBlockShape{widths[1], widths[1]}, config.style));
    out_ = register_module("out", std::make_shared<UnetOutBlock>(widths[1], input.classes, 3));
  }

  std::vector<torch::Tensor> forward(const torch::Tensor& image) override {
    const auto volume = image.contiguous(torch::MemoryFormat::ChannelsLast3d);
    const auto levels = vit_->forward(volume);
    std::vector<torch::Tensor> skips{skip(0, volume)};
    for (std::size_t i = 0; i + 1 < kStages; ++i) skips.push_back(skip(i + 1, levels[i]));
    auto x = encoders_[kStages]->forward(levels.back());
    for (std::size_t i = 0; i < kStages; ++i) x = ups_[i]->forward(x, skips[kStages - 1 - i]);
    return {out_->forward(last_->forward(x))};
  }

  std::vector<torch::Tensor> forward_all(const torch::Tensor& image) override { return forward(image); }

 private:
  torch::Tensor skip(std::size_t level, const torch::Tensor& volume) {
    const auto features = encoders_[level]->forward(volume);
    return fue_ ? weighted_by_certainty(features) : features;
  }

  bool fue_;
  std::shared_ptr<MambaEncoder> vit_;
  std::vector<std::shared_ptr<UnetrBasicBlock>> encoders_;  // finest first
  std::vector<std::shared_ptr<UnetrUpBlock>> ups_;          // coarsest first
  std::shared_ptr<UnetrBasicBlock> last_;
  std::shared_ptr<UnetOutBlock> out_;
};

/// What D*H*W must be a multiple of so that every stage's tokens can be cut into its slices.
std::int64_t voxels_divisor(const SegmambaConfig& config) {
  std::int64_t divisor = 1, shrunk = 1;
  for (std::size_t i = 0; i < kStages; ++i) {
    shrunk *= 8;
    if (config.mixer && config.tom.three && config.depths[i] > 0)
      divisor = std::lcm(divisor, shrunk * config.slices[i]);
  }
  return divisor;
}

void require_fitting(const NetworkInput& input, const SegmambaConfig& config) {
  const std::int64_t divisor = voxels_divisor(config), size = voxels(input.patch);
  bool fits = size % divisor == 0 && size > kDivisor * kDivisor * kDivisor;
  for (const auto axis : input.patch) fits = fits && axis > 0 && axis % kDivisor == 0;
  if (fits) return;
  throw UserError("patch " + Json(input.patch).dump() + " does not fit SegMamba: D, H and W must be multiples of 16, " +
                  (divisor > 1
                       ? "D*H*W a multiple of " + std::to_string(divisor) +
                             " (the tokens of every stage are cut into num_slices " + Json(config.slices).dump() + ")"
                       : std::string("and not all of them 16")) +
                  ", and more than one voxel must be left at 1/16 for instance normalisation");
}

}  // namespace

std::shared_ptr<Network> build_segmamba(const NetworkInput& input, const SegmambaConfig& config, std::uint64_t seed) {
  require_fitting(input, config);
  auto network = std::make_shared<SegmambaNetwork>(input, config);
  const ParameterRandom random(seed);
  initialise_as_pytorch(*network, random);
  for_each_layer<TokenMixer>(
      *network, [&](TokenMixer& mixer, const std::string& name) { mixer.initialise(random, name, /*dt=*/true); });
  return network;
}

}  // namespace m3d
