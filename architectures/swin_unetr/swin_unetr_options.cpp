#include "architectures/blocks/monai_norm.h"
#include "architectures/family.h"
#include "architectures/swin_unetr/swin_unetr_network.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr std::size_t kStages = 4;
constexpr double kLargestRate = 0.99;

/// One value for all axes, or one for each.
Grid window_of(const Json& options, int dimensions) {
  auto sizes = options.at("window_size").get<std::vector<std::int64_t>>();
  if (sizes.size() == 1) sizes.resize(static_cast<std::size_t>(dimensions), sizes[0]);
  if (sizes.size() != static_cast<std::size_t>(dimensions))
    throw UserError("option 'window_size' needs one value, or one for each of the " + std::to_string(dimensions) +
                    " axes, got " + options.at("window_size").dump());
  if (dimensions == 2) sizes.insert(sizes.begin(), 1);
  return {sizes[0], sizes[1], sizes[2]};
}

MergedOffsets merging_of(const std::string& name, int dimensions) {
  if (dimensions == 2) return {{0, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 1, 1}};  // under all three names
  if (name == "merging")
    return {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, 0}, {1, 0, 1}, {0, 1, 1}, {1, 1, 1}};
  if (name == "mergingv2")
    return {{0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {0, 1, 1}, {1, 0, 0}, {1, 0, 1}, {1, 1, 0}, {1, 1, 1}};
  // MONAI issue 8284: two neighbours twice, two never.
  return {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 0, 1}, {0, 1, 0}, {0, 0, 1}, {1, 1, 1}};
}

std::vector<OptionSpec> dropout_options() {
  using enum OptionType;
  const auto rate = [](std::string name, std::string description) {
    return OptionSpec{std::move(name), number, 0.0, std::move(description), {}, 0, kLargestRate};
  };
  return {rate("drop_rate", "dropout of the patch embedding, the attention's output and the MLP"),
          rate("attn_drop_rate", "dropout of the attention weights"),
          rate("dropout_path_rate", "stochastic depth of the deepest block")};
}

}  // namespace

OptionSchema swin_unetr_schema(const std::string& kind) {
  using enum OptionType;
  std::vector<OptionSpec> specs = {
      {"patch_size", integer, 2, "voxels of a token along each axis; the decoder has five doublings", {}, 2, 2},
      {"depths", integer_list, {2, 2, 2, 2}, "blocks of the four stages", {}, 0},
      {"num_heads", integer_list, {3, 6, 12, 24}, "attention heads of the four stages", {}, 1},
      {"window_size", integer_list, Json::array({7}), "tokens of a window along all axes, or along each", {}, 1},
      {"qkv_bias", boolean, true, "bias of queries, keys and values"},
      {"mlp_ratio", number, 4, "hidden width of the MLP over its width", {}, 0.01},
      {"feature_size", integer, 48, "width of the first stage, a multiple of 12; it doubles with every stage", {}, 12},
      {"normalize", boolean, true, "norm the transformer's hidden states before the decoder sees them"},
      {"patch_norm", boolean, false, "norm after the patch embedding"},
      {"use_checkpoint", boolean, false,
       "recompute the blocks in the backward pass (those that draw dropout are kept): memory for time"},
      {"spatial_dims", integer, 3, "2: on slices", {}, 2, 3},
      {"downsample",
       string,
       "merging",
       "order of neighbours in patch merging; merging_pre_1_5: two of them twice, two never, as in MONAI before 1.5",
       {"merging", "mergingv2", "merging_pre_1_5"}},
      {"use_v2", boolean, false, "a residual convolution block before every stage (Swin UNETR V2)"}};
  for (auto& spec : dropout_options()) specs.push_back(std::move(spec));
  for (auto& spec : monai_norm_options()) specs.push_back(std::move(spec));
  return OptionSchema(kind, std::move(specs));
}

SwinUnetrConfig swin_unetr_config(const NetworkInput& input, const Json& options) {
  SwinUnetrConfig config;
  config.channels = input.channels, config.classes = input.classes;
  config.dimensions = options.at("spatial_dims");
  config.feature_size = options.at("feature_size");
  if (config.feature_size % 12 != 0)
    throw UserError("option 'feature_size' must be a multiple of 12, got " + std::to_string(config.feature_size));
  config.depths = integers_of(options, "depths", kStages),
  config.num_heads = integers_of(options, "num_heads", kStages);
  config.block.windows = {window_of(options, config.dimensions), WindowFit::clamp, config.dimensions};
  config.block.mlp_names = {"linear1", "linear2"};
  config.block.checkpointed = options.at("use_checkpoint");
  config.block.mlp_ratio = options.at("mlp_ratio");
  config.block.attention.qkv_bias = options.at("qkv_bias");
  config.block.attention.attention_dropout = options.at("attn_drop_rate");
  config.drop_rate = config.block.dropout = options.at("drop_rate");
  config.drop_path_rate = options.at("dropout_path_rate");
  config.merging = merging_of(options.at("downsample"), config.dimensions);
  config.norm = monai_norm(options);
  config.normalize = options.at("normalize"), config.patch_norm = options.at("patch_norm");
  config.use_v2 = options.at("use_v2");
  return config;
}

std::array<std::int64_t, 3> swin_unetr_divisors(const Json& options) {
  return {options.at("spatial_dims") == 2 ? 1 : 32, 32, 32};
}

}  // namespace m3d
