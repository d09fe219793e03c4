#include "architectures/segmamba/segmamba_options.h"

#include "architectures/blocks/monai_norm.h"
#include "common/error.h"

namespace m3d {
namespace {

using enum OptionType;

constexpr std::size_t kStages = 4;

std::vector<OptionSpec> size_options() {
  return {{"depths", integer_list, {2, 2, 2, 2}, "mixer layers of the four stages", {}, 0},
          {"feat_size", integer_list, {48, 96, 192, 384}, "widths of the four stages", {}, 1},
          {"hidden_size", integer, 768, "width of the coarsest convolution block", {}, 1},
          {"num_slices",
           integer_list,
           {64, 32, 16, 8},
           "pieces in which the third orientation reads the tokens of each stage",
           {},
           1},
          {"res_block", boolean, true, "residual convolution blocks around the encoder"}};
}

std::vector<OptionSpec> axis_options() {
  return {
      {"mixer", string, "mamba", "none: the layers x + mamba(norm(x)) are x", {"mamba", "none"}},
      {"tom",
       string,
       "released",
       "orientations of the mixer: forwards, backwards and across slices (released), or forwards only; none: as "
       "mixer none",
       {"released", "forward", "none"}},
      {"gsc",
       string,
       "released",
       "gated spatial convolution: branches added, last convolution 1x1x1 (released), or multiplied and 3x3x3 (paper)",
       {"released", "paper", "none"}},
      {"gsc_place",
       string,
       "stage",
       "one gated convolution before each stage (released) or each layer (paper)",
       {"stage", "layer"}},
      {"mlp",
       string,
       "skip",
       "the MLP follows the stage on its way to the decoder (released), or each layer, with norm and residual (paper)",
       {"skip", "layer"}},
      {"fue", boolean, false, "skips weighted by their certainty (paper; not in the released code)"}};
}

std::vector<OptionSpec> scan_options() {
  return {{"d_state", integer, 16, "states of the selective scan", {}, 1},
          {"d_conv", integer, 4, "width of the causal convolution", {}, 1, 8},
          {kCheckpointMixers, boolean, false, kCheckpointMixersDescription},
          {"expand", number, 2, "inner width of the mixer over its width", {}, 0.01}};
}

std::vector<std::int64_t> four(const Json& options, const char* name) {
  const auto values = options.at(name).get<std::vector<std::int64_t>>();
  if (values.size() != kStages)
    throw UserError("option '" + std::string(name) + "' needs 4 values, got " + options.at(name).dump());
  return values;
}

}  // namespace

OptionSchema segmamba_schema(const std::string& kind) {
  std::vector<OptionSpec> specs = size_options();
  for (const auto& group : {axis_options(), scan_options(), monai_norm_options()})
    specs.insert(specs.end(), group.begin(), group.end());
  return OptionSchema(kind, std::move(specs));
}

ToMShape SegmambaConfig::tom_of(std::size_t stage) const {
  ToMShape shape = tom;
  shape.dim = widths[stage], shape.slices = slices[stage];
  return shape;
}

SegmambaConfig segmamba_config(const Json& options) {
  SegmambaConfig config;
  config.depths = four(options, "depths"), config.widths = four(options, "feat_size");
  config.slices = four(options, "num_slices");
  config.hidden_size = options.at("hidden_size");
  config.style.norm = monai_norm(options), config.style.res_block = options.at("res_block");
  config.mixer = options.at("mixer") == "mamba" && options.at("tom") != "none";
  config.tom.three = options.at("tom") == "released";
  config.tom.d_state = options.at("d_state"), config.tom.d_conv = options.at("d_conv");
  config.tom.checkpointed = options.at(kCheckpointMixers);
  config.tom.expand = options.at("expand");
  config.gsc = options.at("gsc") != "none", config.gsc_paper = options.at("gsc") == "paper";
  config.gsc_each_layer = options.at("gsc_place") == "layer";
  config.mlp_in_layers = options.at("mlp") == "layer";
  config.fue = options.at("fue");
  return config;
}

}  // namespace m3d
