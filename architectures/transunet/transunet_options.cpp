#include "architectures/transunet/transunet_options.h"

#include "common/error.h"

namespace m3d {
namespace {

using enum OptionType;
using Integers = std::vector<std::int64_t>;

constexpr std::int64_t kResnetStride = 16;

/// One entry of a square pair ([14, 14]); nothing where the pair is empty.
std::optional<std::int64_t> square(const Json& options, const char* name) {
  const auto pair = options.at(name).get<Integers>();
  if (pair.empty()) return std::nullopt;
  if (pair.size() > 2 || pair.front() != pair.back())
    throw UserError("option '" + std::string(name) + "': slices and their grids are square, got " +
                    options.at(name).dump());
  return pair[0];
}

void set_tokens(TransUnetConfig& config, const Json& options, std::int64_t edge) {
  config.image = edge, config.hybrid = options.at("hybrid");
  const std::int64_t features = edge / kResnetStride;
  if (config.hybrid) {
    const std::int64_t grid = square(options, "grid").value_or(features);
    if (edge % kResnetStride != 0 || grid < 1 || features / grid < 1)
      throw UserError("slices of " + std::to_string(edge) + " x " + std::to_string(edge) +
                      " do not fit TransUNet: H and W must be multiples of 16, and of 16 times the grid, where one is "
                      "given");
    config.patch = features / grid, config.tokens = features / config.patch;
  } else {
    config.patch = square(options, "patch_size").value_or(16), config.tokens = edge / config.patch;
    if (config.tokens < 1)
      throw UserError("slices of " + std::to_string(edge) + " voxels are smaller than TransUNet's patch_size, " +
                      std::to_string(config.patch));
  }
}

void set_resnet(TransUnetConfig& config, const Json& options) {
  config.resnet_units = options.at("resnet").get<Integers>();
  if (config.resnet_units.size() != 3)
    throw UserError("option 'resnet' needs 3 values, got " + options.at("resnet").dump());
  config.resnet_width = static_cast<std::int64_t>(64 * options.at("width_factor").get<double>());
}

/// The skips that the ResNet gives, coarsest first.
void set_skips(TransUnetConfig& config, const Json& options) {
  const std::size_t used = options.at("n_skip");
  const Integers given = options.at("skip_channels").get<Integers>();
  const Integers there{8 * config.resnet_width, 4 * config.resnet_width, config.resnet_width};
  config.decoder_channels = options.at("decoder_channels").get<Integers>();
  if (config.decoder_channels.empty() || config.decoder_channels.size() > 4)
    throw UserError("option 'decoder_channels' needs 1 to 4 values, got " + options.at("decoder_channels").dump());
  config.skip_channels.assign(config.decoder_channels.size(), 0);
  for (std::size_t i = 0; i < std::min(used, config.skip_channels.size()); ++i) {
    config.skip_channels[i] = there[i];
    if (i < given.size() && given[i] != there[i])
      throw UserError("option 'skip_channels': the ResNet gives " + Json(there).dump() + ", got " + Json(given).dump() +
                      "; leave the option out to have them");
  }
  if (used > 0 && (!config.hybrid || config.patch != 1))
    throw UserError(config.hybrid ? "skip connections need a grid of 1/16 of the slice (leave 'grid' out), or n_skip 0"
                                  : "without the ResNet (hybrid false) there are no skip connections: set n_skip 0");
}

}  // namespace

OptionSchema transunet_schema(const std::string& kind) {
  return OptionSchema(
      kind,
      {{"hybrid", boolean, true, "tokens of ResNet features (R50-ViT), or of the slice itself (ViT)"},
       {"grid", integer_list, Json::array(), "tokens along H and W of the hybrid; empty: 1/16 of the slice", {}, 1},
       {"patch_size", integer_list, {16, 16}, "edges of a token without the hybrid", {}, 1},
       {"hidden_size", integer, 768, "width of the transformer", {}, 1},
       {"mlp_dim", integer, 3072, "inner width of its MLPs", {}, 1},
       {"num_heads", integer, 12, "attention heads", {}, 1},
       {"num_layers", integer, 12, "transformer layers", {}, 0},
       {"dropout_rate", number, 0.1, "dropout of embeddings and MLPs", {}, 0, 1},
       {"attention_dropout_rate", number, 0, "dropout of attention weights and outputs", {}, 0, 1},
       {"resnet", integer_list, {3, 4, 9}, "units of the three ResNet blocks", {}, 1},
       {"width_factor", number, 1, "width of the ResNet over ResNet-50's", {}, 0.01},
       {"n_skip", integer, 3, "skip connections, from the coarsest on", {}, 0, 3},
       {"skip_channels",
        integer_list,
        Json::array(),
        "their widths, which must be the ResNet's; empty: they are",
        {},
        0},
       {"decoder_channels",
        integer_list,
        {256, 128, 64, 16},
        "widths of the decoder blocks, each of which doubles",
        {},
        1},
       {"head_channels", integer, 512, "width of the decoder's first convolution", {}, 1}});
}

TransUnetConfig transunet_config(const Json& options, std::int64_t edge) {
  TransUnetConfig config;
  set_tokens(config, options, edge);
  set_resnet(config, options);
  set_skips(config, options);
  config.hidden = options.at("hidden_size"), config.mlp = options.at("mlp_dim");
  config.heads = options.at("num_heads"), config.layers = options.at("num_layers");
  if (config.hidden % config.heads != 0)
    throw UserError("TransUNet: hidden_size " + std::to_string(config.hidden) + " is not a multiple of num_heads " +
                    std::to_string(config.heads));
  config.dropout = options.at("dropout_rate"), config.attention_dropout = options.at("attention_dropout_rate");
  config.head_channels = options.at("head_channels");
  return config;
}

}  // namespace m3d
