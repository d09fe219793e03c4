#include "architectures/levit_unet/levit_options.h"

#include "common/error.h"

namespace m3d {
namespace {

using enum OptionType;
using Integers = std::vector<std::int64_t>;

constexpr std::size_t kStages = 3;
constexpr std::int64_t kStemStride = 16, kDivisor = 32;

template <class Value>
std::vector<Value> three(const Json& options, const char* name) {
  auto values = options.at(name).get<std::vector<Value>>();
  if (values.size() == kStages) return values;
  throw UserError("option '" + std::string(name) + "' needs 3 values, got " + options.at(name).dump());
}

std::int64_t scaled(double ratio, std::int64_t width) {
  return static_cast<std::int64_t>(ratio * static_cast<double>(width));
}

/// [key_dim, num_heads, attn_ratio, mlp_ratio, stride] before the second and third stage.
std::vector<Integers> downsamplings(const Json& options, const Integers& widths, std::int64_t key_dim) {
  const Json& given = options.at("down_ops");
  const auto heads = [&](std::size_t above) { return std::max<std::int64_t>(1, widths[above] / key_dim); };
  if (given.empty()) return {{key_dim, heads(0), 4, 2, 2}, {key_dim, heads(1), 4, 2, 2}};
  auto all = given.get<std::vector<Integers>>();
  if (all.size() != 2 || all[0].size() != 5 || all[1].size() != 5)
    throw UserError("option 'down_ops' needs two lists [key_dim, num_heads, attn_ratio, mlp_ratio, stride], got " +
                    given.dump());
  for (const auto& one : all)
    if (one[4] != 2) throw UserError("option 'down_ops': the decoder doubles, so the stride must be 2");
  return all;
}

/// Of the attention before stage `i`, whose tokens are those of the stage above.
void set_downsample(LevitStage& stage, const LevitStage& above, const Integers& how, std::int64_t out) {
  LevitAttentionShape shape = above.attention;
  shape.out = out, shape.key_dim = how[0], shape.heads = how[1], shape.value_dim = how[2] * how[0];
  stage.downsample = shape;
  stage.downsample_mlp = how[3] * out;
}

}  // namespace

OptionSchema levit_schema(const std::string& kind) {
  return OptionSchema(
      kind, {{"embed_dim", integer_list, {384, 512, 768}, "widths of the three stages; the stem has the first", {}, 8},
             {"key_dim", integer_list, {32, 32, 32}, "width of a head's keys", {}, 1},
             {"num_heads", integer_list, {6, 9, 12}, "attention heads", {}, 1},
             {"depth", integer_list, {4, 4, 4}, "attention blocks a stage", {}, 0},
             {"attn_ratio", number_list, {2.0, 2.0, 2.0}, "width of a head's values over that of its keys", {}, 0.01},
             {"mlp_ratio", number_list, {2.0, 2.0, 2.0}, "inner width of the MLPs over the stage's; 0: none", {}, 0},
             {"down_ops",
              integer_lists,
              Json::array(),
              "attention between the stages, [key_dim, num_heads, attn_ratio, mlp_ratio, stride] each; empty: key_dim, "
              "as many "
              "heads as fit the stage above, 4, 2, 2",
              {},
              0},
             {"attention_activation",
              string,
              "Hardswish",
              "before the attention's output layer",
              {"Hardswish", "ReLU", "GELU", "SiLU", "LeakyReLU"}},
             {"mlp_activation", string, "Hardswish", "of the MLPs", {"Hardswish", "ReLU", "GELU", "SiLU", "LeakyReLU"}},
             {"drop_path", number, 0.1, "rate of dropped residual branches", {}, 0, 0.999},
             {"decoder_channels", integer_list, {512, 256, 128}, "widths of the decoder blocks", {}, 1},
             {"block_lists",
              string,
              "by_stage",
              "names of the blocks in the state: one list a stage, or one (the original's "
              "192)",
              {"by_stage", "one"}}});
}

Json levit_size(const std::string& name) {
  if (name == "levit_unet_192")
    return {{"embed_dim", {192, 288, 384}}, {"num_heads", {3, 5, 6}}, {"drop_path", 0.0}, {"block_lists", "one"}};
  if (name == "levit_unet_128s")
    return {{"embed_dim", {128, 256, 384}},
            {"key_dim", {16, 16, 16}},
            {"num_heads", {4, 6, 8}},
            {"depth", {2, 3, 4}},
            {"drop_path", 0.0}};
  return nullptr;
}

LevitConfig levit_config(const Json& options, std::int64_t edge) {
  if (edge < kDivisor || edge % kDivisor != 0)
    throw UserError("slices of " + std::to_string(edge) + " x " + std::to_string(edge) +
                    " do not fit LeViT-UNet: H and W must be multiples of 32");
  LevitConfig config;
  config.image = edge;
  const auto widths = three<std::int64_t>(options, "embed_dim"), keys = three<std::int64_t>(options, "key_dim");
  const auto heads = three<std::int64_t>(options, "num_heads"), depth = three<std::int64_t>(options, "depth");
  const auto values = three<double>(options, "attn_ratio"), mlps = three<double>(options, "mlp_ratio");
  const auto downs = downsamplings(options, widths, keys[0]);
  std::int64_t resolution = edge / kStemStride;
  for (std::size_t i = 0; i < kStages; ++i) {
    LevitStage stage;
    if (i > 0) {
      set_downsample(stage, config.stages.back(), downs[i - 1], widths[i]);
      resolution = (resolution - 1) / 2 + 1;
    }
    stage.depth = depth[i], stage.mlp = scaled(mlps[i], widths[i]);
    stage.attention = {widths[i],
                       widths[i],
                       keys[i],
                       heads[i],
                       scaled(values[i], keys[i]),
                       resolution,
                       options.at("attention_activation")};
    config.stages.push_back(stage);
  }
  config.decoder_channels = three<std::int64_t>(options, "decoder_channels");
  config.mlp_activation = options.at("mlp_activation"), config.drop_path = options.at("drop_path");
  config.one_list = options.at("block_lists") == "one";
  return config;
}

}  // namespace m3d
