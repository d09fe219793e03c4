#include "architectures/nnunet/nnunet_options.h"

#include <algorithm>

#include "common/error.h"

namespace m3d {
namespace {

using enum OptionType;
using Integers = std::vector<std::int64_t>;

constexpr std::size_t kMostStages = 6;  // five halvings
constexpr std::int64_t kSmallestEdge = 4;

std::vector<OptionSpec> topology_options(bool residual) {
  const char* count = residual ? "n_blocks_per_stage" : "n_conv_per_stage";
  return {{"conv_op", string, "Conv3d", "3D, or 2D over the axial slices", {"Conv2d", "Conv3d"}},
          {"n_stages", integer, 0, "resolution stages; 0: as many as strides are given or the patch allows", {}, 0, 16},
          {"features_per_stage",
           integer_list,
           Json::array(),
           "widths; one value: of all stages; empty: base_features doubled a stage, at most max_features",
           {},
           1},
          {"base_features", integer, 32, "width at full resolution, where features_per_stage is empty", {}, 1},
          {"max_features", integer, 320, "largest width, where features_per_stage is empty", {}, 1},
          {"kernel_sizes",
           integer_lists,
           Json::array(),
           "a kernel a stage, [3], [3, 3] (2D) or [1, 3, 3]; one: of all stages; empty: 3",
           {},
           1},
          {"strides",
           integer_lists,
           Json::array(),
           "a stride a stage; empty: planned from the patch by nnU-Net's rule for voxels of equal edges",
           {},
           1},
          {count,
           integer_list,
           residual ? Json::array() : Json{2},
           residual ? "residual blocks a stage; one value: of all stages; empty: 1, 3, 4, 6, 6, 6, …"
                    : "convolutions an encoder stage; one value: of all stages",
           {},
           1},
          {"n_conv_per_stage_decoder",
           integer_list,
           Json{residual ? 1 : 2},
           "convolutions a decoder level, coarsest first; one value: of all levels",
           {},
           1}};
}

std::vector<OptionSpec> style_options() {
  return {
      {"conv_bias", boolean, true, "bias of the convolutions"},
      {"norm_op", string, "InstanceNorm", "normalisation", {"InstanceNorm", "BatchNorm", "none"}},
      {"norm_eps", number, 1e-5, "epsilon of the normalisation", {}, 0},
      {"norm_affine", boolean, true, "weight and bias of the normalisation"},
      {"norm_momentum", number, 0.1, "momentum of running statistics", {}, 0, 1},
      {"norm_track_running_stats",
       string,
       "default",
       "running statistics; by default BatchNorm has them",
       {"default", "always", "never"}},
      {"dropout_op",
       string,
       "none",
       "after each convolution: of values, or of channels (2d, 3d)",
       {"none", "Dropout", "Dropout2d", "Dropout3d"}},
      {"dropout_p", number, 0.5, "rate of the dropout", {}, 0, 1},
      {"nonlin", string, "LeakyReLU", "activation", {"LeakyReLU", "ReLU", "GELU", "SiLU", "ELU", "Hardswish", "none"}},
      {"nonlin_negative_slope", number, 0.01, "slope of LeakyReLU", {}, 0},
      {"deep_supervision", boolean, true, "an output at every decoder level in training"}};
}

std::vector<OptionSpec> residual_options() {
  return {
      {"block", string, "BasicBlockD", "residual block", {"BasicBlockD", "BottleneckD"}},
      {"bottleneck_channels",
       integer_list,
       Json::array(),
       "inner widths of BottleneckD; one value: of all stages",
       {},
       1},
      {"stem_channels", integer, 0, "width of the stem; 0: of the first stage", {}, 0},
      {"pool_type", string, "conv", "how the encoder shrinks: strided convolution or pooling", {"conv", "avg", "max"}},
      {"stochastic_depth_p", number, 0, "rate of dropped residual branches", {}, 0, 0.999},
      {"squeeze_excitation", boolean, false, "squeeze and excitation in the residual blocks"},
      {"squeeze_excitation_reduction_ratio", number, 1.0 / 16, "width inside it over the block's", {}, 0, 1}};
}

std::vector<OptionSpec> plain_options() {
  return {{"nonlin_first", boolean, false, "activation before normalisation"},
          {"pool", string, "conv", "how the encoder shrinks: strided convolution or pooling", {"conv", "avg", "max"}}};
}

/// A value a stage: one given value stands for all.
template <class Value>
std::vector<Value> per_stage(const std::string& name, std::vector<Value> given, std::size_t stages) {
  if (given.size() == 1) given.resize(stages, given[0]);
  if (given.size() == stages) return given;
  throw UserError("option '" + name + "' needs " + std::to_string(stages) + " values (or one for all), got " +
                  std::to_string(given.size()));
}

std::vector<Triple> triples(const Json& options, const char* name) {
  const auto dimensions = static_cast<std::size_t>(nnunet_dimensions(options));
  std::vector<Triple> all;
  for (const auto& item : options.at(name)) {
    auto values = item.get<Integers>();
    if (values.size() == 1) values.resize(dimensions, values[0]);
    if (values.size() != dimensions)
      throw UserError("option '" + std::string(name) + "' needs entries of " + std::to_string(dimensions) +
                      " numbers (or one for all axes), got " + item.dump());
    if (dimensions == 2) values.insert(values.begin(), 1);
    all.push_back({values[0], values[1], values[2]});
  }
  return all;
}

Integers planned_features(const Json& options, std::size_t stages) {
  Integers widths;
  const std::int64_t base = options.at("base_features"), most = options.at("max_features");
  for (std::size_t s = 0; s < stages; ++s) widths.push_back(std::min(base << s, most));
  return widths;
}

std::vector<Triple> strides_for(const Json& options, const std::array<std::int64_t, 3>& patch) {
  const std::size_t wanted = options.at("n_stages").get<std::size_t>();
  const auto given = nnunet_strides(options);
  if (!given.empty()) return per_stage("strides", given, wanted ? wanted : given.size());
  const auto planned = planned_strides(patch, nnunet_dimensions(options), wanted ? wanted : kMostStages);
  if (planned.size() < std::max<std::size_t>(wanted, 2))
    throw UserError("patch " + Json(patch).dump() + " is too small for " +
                    std::to_string(std::max<std::size_t>(wanted, 2)) +
                    " stages: an axis is halved while it is even and " + "stays at least 4 voxels long, which gives " +
                    std::to_string(planned.size()) + "; use a larger patch, fewer n_stages, or give strides");
  return planned;
}

void set_stages(NnunetConfig& config, const Json& options, const std::array<std::int64_t, 3>& patch) {
  config.stages.strides = strides_for(options, patch);
  const std::size_t n = config.stages.strides.size();
  if (n < 2) throw UserError("a U-Net has at least 2 stages, got " + std::to_string(n));
  const auto features = options.at("features_per_stage").get<Integers>();
  config.stages.features =
      features.empty() ? planned_features(options, n) : per_stage("features_per_stage", features, n);
  auto kernels = triples(options, "kernel_sizes");
  if (kernels.empty()) kernels = {config.style.dimensions == 2 ? Triple{1, 3, 3} : Triple{3, 3, 3}};
  config.stages.kernels = per_stage("kernel_sizes", kernels, n);
}

void set_counts(NnunetConfig& config, const Json& options) {
  const std::size_t n = config.stages.count();
  const char* name = config.residual ? "n_blocks_per_stage" : "n_conv_per_stage";
  auto counts = options.at(name).get<Integers>();
  if (counts.empty()) {
    counts = {1, 3, 4};
    counts.resize(n, 6);
  }
  config.encoder_units = per_stage(name, counts, n);
  config.decoder_units =
      per_stage("n_conv_per_stage_decoder", options.at("n_conv_per_stage_decoder").get<Integers>(), n - 1);
}

void set_style(NnunetConfig& config, const Json& options) {
  UnitStyle& style = config.style;
  style.dimensions = nnunet_dimensions(options);
  style.bias = options.at("conv_bias");
  const std::string norm = options.at("norm_op"), running = options.at("norm_track_running_stats");
  VolumeNormShape shape{norm == "BatchNorm" ? "BN" : "IN", 1, options.at("norm_eps"), options.at("norm_affine")};
  shape.momentum = options.at("norm_momentum");
  if (running != "default") shape.running_statistics = running == "always";
  style.norm = norm == "none" ? std::nullopt : std::optional(shape);
  style.dropout = options.at("dropout_op"), style.dropout_rate = options.at("dropout_p");
  style.activation = options.at("nonlin"), style.negative_slope = options.at("nonlin_negative_slope");
}

void set_blocks(NnunetConfig& config, const Json& options) {
  const std::size_t n = config.stages.count();
  config.pool = options.at("pool_type");
  config.stem_channels = options.at("stem_channels");
  if (config.stem_channels == 0) config.stem_channels = config.stages.features[0];
  config.block.stochastic_depth = options.at("stochastic_depth_p");
  config.block.squeeze_excitation = options.at("squeeze_excitation");
  config.block.squeeze_reduction = options.at("squeeze_excitation_reduction_ratio");
  config.bottleneck_channels.assign(n, 0);
  if (options.at("block") == "BasicBlockD") return;
  const auto widths = options.at("bottleneck_channels").get<Integers>();
  if (widths.empty()) throw UserError("block BottleneckD needs the option 'bottleneck_channels'");
  config.bottleneck_channels = per_stage("bottleneck_channels", widths, n);
}

}  // namespace

OptionSchema nnunet_schema(const std::string& kind, bool residual) {
  std::vector<OptionSpec> specs = topology_options(residual);
  for (const auto& group : {style_options(), residual ? residual_options() : plain_options()})
    specs.insert(specs.end(), group.begin(), group.end());
  return OptionSchema(kind, std::move(specs));
}

int nnunet_dimensions(const Json& options) { return options.at("conv_op") == "Conv2d" ? 2 : 3; }

std::vector<Triple> nnunet_strides(const Json& options) { return triples(options, "strides"); }

std::vector<Triple> planned_strides(const std::array<std::int64_t, 3>& patch, int dimensions, std::size_t most) {
  std::vector<Triple> strides{{1, 1, 1}};
  auto size = patch;
  while (strides.size() < most) {
    Triple step{1, 1, 1};
    std::vector<std::size_t> halved;
    for (std::size_t axis = dimensions == 2 ? 1 : 0; axis < 3; ++axis)
      if (size[axis] % 2 == 0 && size[axis] >= 2 * kSmallestEdge) halved.push_back(axis);
    if (halved.empty() || (halved.size() == 1 && size[halved[0]] < 3 * kSmallestEdge)) break;
    for (const auto axis : halved) step[axis] = 2, size[axis] /= 2;
    strides.push_back(step);
  }
  return strides;
}

NnunetConfig nnunet_config(const Json& options, bool residual, const std::array<std::int64_t, 3>& patch) {
  NnunetConfig config;
  config.residual = residual;
  set_style(config, options);
  set_stages(config, options, patch);
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
