#include "architectures/nnunet/nnunet_options.h"

#include "common/error.h"

namespace m3d {
namespace {

using enum OptionType;

constexpr const char* kResidualUnits = "n_blocks_per_stage";
constexpr const char* kPlainUnits = "n_conv_per_stage";
constexpr const char* kDecoderUnits = "n_conv_per_stage_decoder";

std::vector<OptionSpec> count_options(bool residual) {
  return {{residual ? kResidualUnits : kPlainUnits,
           integer_list,
           residual ? Json::array() : Json{2},
           residual ? "residual blocks a stage; one value: of all stages; empty: 1, 3, 4, 6, 6, 6, …"
                    : "convolutions an encoder stage; one value: of all stages",
           {},
           1},
          {kDecoderUnits,
           integer_list,
           Json{residual ? 1 : 2},
           "convolutions a decoder level, coarsest first; one value: of all levels",
           {},
           1}};
}

std::vector<OptionSpec> residual_options() {
  std::vector<OptionSpec> specs = unet_residual_options();
  specs.insert(
      specs.end(),
      {{"pool_type", string, "conv", "how the encoder shrinks: strided convolution or pooling", {"conv", "avg", "max"}},
       {"stochastic_depth_p", number, 0, "rate of dropped residual branches", {}, 0, 0.999},
       {"squeeze_excitation", boolean, false, "squeeze and excitation in the residual blocks"},
       {"squeeze_excitation_reduction_ratio", number, 1.0 / 16, "width inside it over the block's", {}, 0, 1}});
  return specs;
}

std::vector<OptionSpec> plain_options() {
  return {{"nonlin_first", boolean, false, "activation before normalisation"},
          {"pool", string, "conv", "how the encoder shrinks: strided convolution or pooling", {"conv", "avg", "max"}}};
}

void set_counts(NnunetConfig& config, const Json& options) {
  const std::size_t n = config.stages.count();
  config.decoder_units = unet_counts(options, kDecoderUnits, n - 1);
  const char* name = config.residual ? kResidualUnits : kPlainUnits;
  if (!options.at(name).empty()) {
    config.encoder_units = unet_counts(options, name, n);
    return;
  }
  config.encoder_units = {1, 3, 4};
  config.encoder_units.resize(n, 6);
}

void set_blocks(NnunetConfig& config, const Json& options) {
  config.pool = options.at("pool_type");
  config.stem_channels = options.at("stem_channels");
  if (config.stem_channels == 0) config.stem_channels = config.stages.features[0];
  config.block.stochastic_depth = options.at("stochastic_depth_p");
  config.block.squeeze_excitation = options.at("squeeze_excitation");
  config.block.squeeze_reduction = options.at("squeeze_excitation_reduction_ratio");
  config.bottleneck_channels = unet_bottlenecks(options, config.stages.count());
}

}  // namespace

OptionSchema nnunet_schema(const std::string& kind, bool residual) {
  std::vector<OptionSpec> specs = unet_topology_options();
  for (const auto& group : {count_options(residual), unet_style_options(), unet_dropout_options(),
                            residual ? residual_options() : plain_options()})
    specs.insert(specs.end(), group.begin(), group.end());
  return OptionSchema(kind, std::move(specs));
}

NnunetConfig nnunet_config(const Json& options, bool residual, const std::array<std::int64_t, 3>& patch) {
  NnunetConfig config;
  config.residual = residual;
  config.style = unet_style(options);
  config.stages = unet_stages(options, patch);
  set_counts(config, options);
  config.deep_supervision = options.at("deep_supervision");
  if (residual) {
    set_blocks(config, options);
  } else {
    config.pool = options.at("pool");
    config.style.activation_first = options.at("nonlin_first");
  }
  return config;
}

}  // namespace m3d
