#include "architectures/taming/taming_options.h"

#include <algorithm>

#include "architectures/blocks/unet_plan.h"

namespace m3d {
namespace {

using enum OptionType;

std::vector<OptionSpec> own_options(const TamingForm& form) {
  return {
      {"n_conv_per_stage", integer_list, {2}, "residual blocks an encoder stage; one value: of all stages", {}, 1},
      {"n_conv_per_stage_decoder",
       integer_list,
       {2},
       "residual blocks a decoder level, coarsest first; one value: of all levels",
       {},
       1},
      {"mixer",
       string,
       form.mixer ? "mamba" : "none",
       "none: the layers' first step x + mamba(norm1(x)) is x; their linear one stays",
       {"mamba", "none"}},
      {"d_state_cap",
       integer,
       form.d_state_cap,
       "states of the selective scan: as many as channels, at most this (four orders: released 64, paper 256)",
       {},
       1},
      {"fourth_order",
       string,
       "released",
       "four orders: the fourth reads (W, D, H) as released, or (W, H, D) as in the paper; the names count the axes "
       "of the image as [D, H, W]",
       {"released", "paper"}},
      {"d_conv", integer, 4, "width of the causal convolution", {}, 1, 8},
      {kCheckpointMixers, boolean, false, kCheckpointMixersDescription},
      {"expand", number, 2, "inner width of the mixer over its width", {}, 0.01}};
}

}  // namespace

OptionSchema taming_schema(const TamingForm& form) {
  std::vector<OptionSpec> specs = unet_topology_options();
  for (const auto& group : {own_options(form), unet_style_options(), unet_dropout_options(), unet_residual_options()})
    specs.insert(specs.end(), group.begin(), group.end());
  return OptionSchema("option of " + std::string(form.name), std::move(specs));
}

MambaTransShape TamingConfig::layer_of(std::size_t stage) const {
  MambaTransShape shape = layer;
  shape.channels = stages.features[stage];
  shape.d_state = std::min(shape.channels, d_state_cap);
  return shape;
}

TamingConfig taming_config(const Json& options, const TamingForm& form, const std::array<std::int64_t, 3>& patch) {
  TamingConfig config;
  config.directions = form.directions, config.on_skips = form.on_skips;
  config.paper_order = options.at("fourth_order") == "paper";
  config.deep_supervision = options.at("deep_supervision");
  config.style = unet_style(options);
  config.stages = unet_stages(options, patch);
  const std::size_t n = config.stages.count();
  config.encoder_units = unet_counts(options, "n_conv_per_stage", n);
  config.decoder_units = unet_counts(options, "n_conv_per_stage_decoder", n - 1);
  config.bottleneck_channels = unet_bottlenecks(options, n);
  const std::int64_t stem = options.at("stem_channels");
  config.stem_channels = stem ? stem : config.stages.features[0];
  config.d_state_cap = options.at("d_state_cap");
  config.layer.checkpointed = options.at(kCheckpointMixers);
  config.layer.d_conv = options.at("d_conv"), config.layer.expand = options.at("expand");
  config.layer.mixer = options.at("mixer") == "mamba";
  return config;
}

}  // namespace m3d
