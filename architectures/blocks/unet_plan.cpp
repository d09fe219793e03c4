#include "architectures/blocks/unet_plan.h"

#include <algorithm>

#include "common/error.h"

namespace m3d {
namespace {

using enum OptionType;
using Integers = std::vector<std::int64_t>;

constexpr std::size_t kMostStages = 6;  // five halvings
constexpr std::int64_t kSmallestEdge = 4;

/// A value a stage: one given value stands for all.
template <class Value>
std::vector<Value> per_stage(const std::string& name, std::vector<Value> given, std::size_t stages) {
  if (given.size() == 1) given.resize(stages, given[0]);
  if (given.size() == stages) return given;
  throw UserError("option '" + name + "' needs " + std::to_string(stages) + " values (or one for all), got " +
                  std::to_string(given.size()));
}

std::vector<Triple> triples(const Json& options, const char* name) {
  const auto dimensions = static_cast<std::size_t>(unet_dimensions(options));
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
  const std::int64_t base = options.at("UNet_base_num_features"), most = options.at("unet_max_num_features");
  for (std::size_t s = 0; s < stages; ++s) widths.push_back(std::min(base << s, most));
  return widths;
}

std::vector<Triple> strides_for(const Json& options, const std::array<std::int64_t, 3>& patch) {
  const std::size_t wanted = options.at("n_stages").get<std::size_t>();
  const auto given = triples(options, "strides");
  if (!given.empty()) return per_stage("strides", given, wanted ? wanted : given.size());
  const auto planned = planned_strides(patch, unet_dimensions(options), wanted ? wanted : kMostStages);
  if (planned.size() < std::max<std::size_t>(wanted, 2))
    throw UserError("patch " + Json(patch).dump() + " is too small for " +
                    std::to_string(std::max<std::size_t>(wanted, 2)) +
                    " stages: an axis is halved while it is even and " + "stays at least 4 voxels long, which gives " +
                    std::to_string(planned.size()) + "; use a larger patch, fewer n_stages, or give strides");
  return planned;
}

Triple product_of(const std::vector<Triple>& strides) {
  Triple product{1, 1, 1};
  for (const auto& stride : strides)
    for (std::size_t axis = 0; axis < 3; ++axis) product[axis] *= stride[axis];
  return product;
}

}  // namespace

std::vector<OptionSpec> unet_topology_options() {
  return {
      {"conv_op", string, "Conv3d", "3D, or 2D over the axial slices", {"Conv2d", "Conv3d"}},
      {"n_stages", integer, 0, "resolution stages; 0: as many as strides are given or the patch allows", {}, 0, 16},
      {"features_per_stage",
       integer_list,
       Json::array(),
       "widths; one value: of all stages; empty: UNet_base_num_features doubled a stage, at most unet_max_num_features",
       {},
       1},
      {"UNet_base_num_features", integer, 32, "planned width of the first stage", {}, 1},
      {"unet_max_num_features", integer, 320, "the largest planned width (nnU-Net's 2D plans: 512)", {}, 1},
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
       1}};
}

std::vector<OptionSpec> unet_style_options() {
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
      {"nonlin", string, "LeakyReLU", "activation", {"LeakyReLU", "ReLU", "GELU", "SiLU", "ELU", "Hardswish", "none"}},
      {"nonlin_negative_slope", number, 0.01, "slope of LeakyReLU", {}, 0},
      {"deep_supervision", boolean, true, "an output at every decoder level in training"}};
}

std::vector<OptionSpec> unet_dropout_options() {
  return {{"dropout_op",
           string,
           "none",
           "after each convolution: of values, or of channels (2d, 3d)",
           {"none", "Dropout", "Dropout2d", "Dropout3d"}},
          {"dropout_p", number, 0.5, "rate of the dropout", {}, 0, 1}};
}

std::vector<OptionSpec> unet_residual_options() {
  return {{"block", string, "BasicBlockD", "residual block", {"BasicBlockD", "BottleneckD"}},
          {"bottleneck_channels",
           integer_list,
           Json::array(),
           "inner widths of BottleneckD; one value: of all stages",
           {},
           1},
          {"stem_channels", integer, 0, "width of the stem; 0: of the first stage", {}, 0}};
}

int unet_dimensions(const Json& options) { return options.at("conv_op") == "Conv2d" ? 2 : 3; }

UnitStyle unet_style(const Json& options) {
  UnitStyle style;
  style.dimensions = unet_dimensions(options);
  style.bias = options.at("conv_bias");
  const std::string norm = options.at("norm_op"), running = options.at("norm_track_running_stats");
  VolumeNormShape shape{norm == "BatchNorm" ? "BN" : "IN", 1, options.at("norm_eps"), options.at("norm_affine")};
  shape.momentum = options.at("norm_momentum");
  if (running != "default") shape.running_statistics = running == "always";
  style.norm = norm == "none" ? std::nullopt : std::optional(shape);
  if (options.contains("dropout_op"))
    style.dropout = options.at("dropout_op"), style.dropout_rate = options.at("dropout_p");
  style.activation = options.at("nonlin"), style.negative_slope = options.at("nonlin_negative_slope");
  return style;
}

UnetStages unet_stages(const Json& options, const std::array<std::int64_t, 3>& patch) {
  UnetStages stages;
  const int dimensions = unet_dimensions(options);
  stages.strides = strides_for(options, patch);
  const std::size_t n = stages.strides.size();
  if (n < 2) throw UserError("a U-Net has at least 2 stages, got " + std::to_string(n));
  const auto features = options.at("features_per_stage").get<Integers>();
  stages.features = features.empty() ? planned_features(options, n) : per_stage("features_per_stage", features, n);
  auto kernels = triples(options, "kernel_sizes");
  if (kernels.empty()) kernels = {dimensions == 2 ? Triple{1, 3, 3} : Triple{3, 3, 3}};
  stages.kernels = per_stage("kernel_sizes", kernels, n);
  return stages;
}

std::vector<std::int64_t> unet_counts(const Json& options, const std::string& name, std::size_t stages) {
  return per_stage(name, options.at(name).get<Integers>(), stages);
}

std::vector<std::int64_t> unet_bottlenecks(const Json& options, std::size_t stages) {
  if (options.at("block") == "BasicBlockD") return Integers(stages, 0);
  if (options.at("bottleneck_channels").empty())
    throw UserError("block BottleneckD needs the option 'bottleneck_channels'");
  return unet_counts(options, "bottleneck_channels", stages);
}

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

std::vector<WidthOption> unet_widths() {
  return {{"features_per_stage", 4}, {"UNet_base_num_features", 4}, {"unet_max_num_features", 4}};
}

std::vector<std::pair<std::string, std::string>> unet_state_aliases() {
  return {{"^decoder\\.encoder\\.", "encoder."},
          {"\\.all_modules\\.0\\.", ".conv."},
          {"\\.all_modules\\.[1-3]\\.", ".norm."}};
}

std::array<std::int64_t, 3> unet_divisors(const Json& options) {
  const auto strides = triples(options, "strides");
  // A planned encoder takes any patch; with these it has four halvings along every axis that is long enough.
  if (strides.empty()) return {unet_dimensions(options) == 2 ? 1 : 16, 16, 16};
  const std::size_t stages = options.at("n_stages");
  return product_of(per_stage("strides", strides, stages ? stages : strides.size()));
}

int unet_outputs(const Json& options) {
  if (!options.at("deep_supervision").get<bool>()) return 1;
  return static_cast<int>(unet_stages(options, {128, 128, 128}).count()) - 1;
}

void require_unet_patch(const std::array<std::int64_t, 3>& patch, const UnetStages& stages, const UnitStyle& style) {
  const Triple product = product_of(stages.strides);
  bool fits = true;
  std::int64_t coarsest = 1;
  for (std::size_t axis = style.dimensions == 2 ? 1 : 0; axis < 3; ++axis) {
    fits = fits && patch[axis] > 0 && patch[axis] % product[axis] == 0;
    coarsest *= patch[axis] / product[axis];
  }
  if (fits && (coarsest > 1 || !style.norm || style.norm->kind != "IN")) return;
  throw UserError("patch " + Json(patch).dump() + " does not fit these strides: [D, H, W] must be multiples of " +
                  Json(product).dump() +
                  (fits ? " and leave more than one voxel for instance normalisation at the coarsest stage" : ""));
}

}  // namespace m3d
