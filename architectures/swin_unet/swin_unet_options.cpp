#include "architectures/family.h"
#include "architectures/swin_unet/swin_unet_network.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr std::size_t kStages = 4;
constexpr double kLargestRate = 0.99;

}  // namespace

OptionSchema swin_unet_schema() {
  using enum OptionType;
  return OptionSchema(
      "option of swin_unet",
      {{"patch_size", integer, 4, "voxels of a token along H and W", {}, 1},
       {"embed_dim", integer, 96, "width of the first stage; it doubles with every stage", {}, 2},
       {"depths", integer_list, {2, 2, 2, 2}, "blocks of the four stages, encoder and decoder alike", {}, 0},
       {"num_heads", integer_list, {3, 6, 12, 24}, "attention heads of the four stages", {}, 1},
       {"window_size", integer, 7, "tokens of a window along H and W", {}, 1},
       {"mlp_ratio", number, 4, "hidden width of the MLP over its width", {}, 0.01},
       {"qkv_bias", boolean, true, "bias of queries, keys and values"},
       {"qk_scale", number, 0, "scale of query-key products; 0: 1 / sqrt(width of a head)"},
       {"drop_rate",
        number,
        0,
        "dropout of the patch embedding, the attention's output and the MLP",
        {},
        0,
        kLargestRate},
       {"attn_drop_rate", number, 0, "dropout of the attention weights", {}, 0, kLargestRate},
       {"drop_path_rate", number, 0.2, "stochastic depth of the deepest block", {}, 0, kLargestRate},
       {"ape", boolean, false, "add a learned position embedding to the patch embedding"},
       {"patch_norm", boolean, true, "norm after the patch embedding"},
       {"use_checkpoint", boolean, false,
        "recompute the blocks in the backward pass (those that draw dropout are kept): memory for time"},
       {"final_upsample", string, "expand_first", "how tokens become voxels again", {"expand_first"}},
       {"final_scale",
        integer,
        0,
        "voxels that the last expansion makes of a token along H and W; 0: patch_size (the original always makes 4)",
        {},
        0},
       {"repeat_single_channel", boolean, true,
        "feed a single image channel as three, as the original's wrapper does"}});
}

Grid SwinUnetConfig::grid(const NetworkInput& input, std::size_t stage) const {
  const std::int64_t step = patch_size << stage;
  return {1, input.patch[1] / step, input.patch[2] / step};
}

SwinUnetConfig swin_unet_config(const NetworkInput& input, const Json& options) {
  SwinUnetConfig config;
  config.in_channels = input.channels == 1 && options.at("repeat_single_channel") ? 3 : input.channels;
  config.classes = input.classes;
  config.patch_size = options.at("patch_size"), config.embed_dim = options.at("embed_dim");
  const std::int64_t scale = options.at("final_scale");
  config.final_scale = scale ? scale : config.patch_size;
  config.depths = integers_of(options, "depths", kStages),
  config.num_heads = integers_of(options, "num_heads", kStages);
  const std::int64_t window = options.at("window_size");
  config.block.windows = {{1, window, window}, WindowFit::shrink, 2};
  config.block.mask_in_state = true;
  config.block.checkpointed = options.at("use_checkpoint");
  config.block.mlp_ratio = options.at("mlp_ratio");
  config.block.attention.qkv_bias = options.at("qkv_bias");
  if (const double qk_scale = options.at("qk_scale"); qk_scale != 0) config.block.attention.scale = qk_scale;
  config.drop_rate = config.block.dropout = options.at("drop_rate");
  config.block.attention.attention_dropout = options.at("attn_drop_rate");
  config.drop_path_rate = options.at("drop_path_rate");
  config.ape = options.at("ape"), config.patch_norm = options.at("patch_norm");
  return config;
}

}  // namespace m3d
