#include "architectures/umamba/umamba_options.h"

#include "architectures/blocks/unet_plan.h"

namespace m3d {
namespace {

using enum OptionType;

std::vector<OptionSpec> own_options() {
  return {{"n_conv_per_stage",
           integer_list,
           {2},
           "units an encoder stage, and the stem's; one value: of all stages; the deeper half has 1 whatever is asked",
           {},
           1},
          {"n_conv_per_stage_decoder",
           integer_list,
           {2},
           "units a decoder level, coarsest first; one value: of all levels; the finer half has 1 whatever is asked",
           {},
           1},
          {"form",
           string,
           "auto",
           "of which released file; 3d: a Mamba layer after every stage of umambaenc, and every skip; 2d: after every "
           "second stage, the last among them, and the finest level without its skip; auto: that of conv_op",
           {"auto", "2d", "3d"}},
          {"mixer", string, "mamba", "none: the layers mamba(norm(x)) are norm(x)", {"mamba", "none"}},
          {"d_state", integer, 16, "states of the selective scan", {}, 1},
          {"d_conv", integer, 4, "width of the causal convolution", {}, 1, 8},
          {kCheckpointMixers, boolean, false, kCheckpointMixersDescription},
          {"expand", number, 2, "inner width of the mixer over its width", {}, 0.01}};
}

void set_from(std::vector<std::int64_t>& counts, std::size_t first, std::int64_t value) {
  for (std::size_t i = first; i < counts.size(); ++i) counts[i] = value;
}

/// As the original overrides its plan.
void set_counts(UmambaConfig& config, const Json& options) {
  const std::size_t n = config.stages.count();
  config.encoder_units = unet_counts(options, "n_conv_per_stage", n);
  config.decoder_units = unet_counts(options, "n_conv_per_stage_decoder", n - 1);
  set_from(config.encoder_units, (n + 1) / 2, 1);
  set_from(config.decoder_units, (n + 1) / 2, 1);
}

}  // namespace

OptionSchema umamba_schema(const std::string& kind) {
  std::vector<OptionSpec> specs = unet_topology_options();
  for (const auto& group : {own_options(), unet_style_options()}) specs.insert(specs.end(), group.begin(), group.end());
  return OptionSchema(kind, std::move(specs));
}

bool UmambaConfig::has_layer(std::size_t stage) const {
  return in_encoder && (!flat || (stages.count() - 1 - stage) % 2 == 0);
}

MambaLayerShape UmambaConfig::layer_of(std::size_t stage) const {
  MambaLayerShape shape = layer;
  shape.channel_token = in_encoder && voxels(grids[stage]) <= stages.features[stage];
  shape.dim = shape.channel_token ? voxels(grids[stage]) : stages.features[stage];
  return shape;
}

UmambaConfig umamba_config(const Json& options, bool in_encoder, const std::array<std::int64_t, 3>& patch) {
  UmambaConfig config;
  config.style = unet_style(options);
  config.flat = options.at("form") == "2d" || (options.at("form") == "auto" && config.style.dimensions == 2);
  config.in_encoder = in_encoder;
  config.stages = unet_stages(options, patch);
  set_counts(config, options);
  Grid grid = config.style.dimensions == 2 ? Grid{1, patch[1], patch[2]} : patch;
  for (const auto& stride : config.stages.strides) {
    for (std::size_t axis = 0; axis < 3; ++axis) grid[axis] /= stride[axis];
    config.grids.push_back(grid);
  }
  config.layer.d_state = options.at("d_state"), config.layer.d_conv = options.at("d_conv");
  config.layer.checkpointed = options.at(kCheckpointMixers);
  config.layer.expand = options.at("expand"), config.layer.mixer = options.at("mixer") == "mamba";
  config.deep_supervision = options.at("deep_supervision");
  return config;
}

}  // namespace m3d
