#include "architectures/ulike/ulike_options.h"

#include <algorithm>
#include <cmath>

#include "common/error.h"

namespace m3d {
namespace {

using enum OptionType;
using Integers = std::vector<std::int64_t>;

OptionSpec choice(std::string name, Json value, std::string description, std::vector<std::string> choices) {
  return {std::move(name), string, std::move(value), std::move(description), std::move(choices)};
}

OptionSpec flag(std::string name, bool value, std::string description) {
  return {std::move(name), boolean, value, std::move(description)};
}

OptionSpec real(std::string name, double value, std::string description, double minimum) {
  return {std::move(name), number, value, std::move(description), {}, minimum};
}

OptionSpec whole(std::string name, std::int64_t value, std::string description, double minimum) {
  return {std::move(name), integer, value, std::move(description), {}, minimum};
}

OptionSpec sizes(std::string name, Json value, std::string description, double minimum = 1) {
  return {std::move(name), integer_list, std::move(value), std::move(description), {}, minimum};
}

std::vector<OptionSpec> axis_options() {
  const std::vector<std::string> scans{"single", "dual", "dual_random", "dual_dwh", "dual_channel", "tri"};
  std::vector<std::string> decoder_scans = scans;
  decoder_scans.insert(decoder_scans.begin(), "same");
  return {
      choice("mixer", "mamba",
             "token mixer of every stage: selective scan, spatial-reduction attention, full attention, "
             "or none (the residual layer x + mixer(norm(x)) without its mixer is x: only the convolutions remain)",
             {"mamba", "sra", "attention", "none"}),
      choice("dwconv", "3d", "Mamba's depthwise convolution: causal along the sequence, or centred on the grid",
             {"1d", "3d"}),
      choice("scan", "single", "scan orders of the Mamba mixer", scans),
      choice("multiscale", "none", "multi-scale scheme of the encoder (msv4: Mamba only)",
             {"none", "msv1", "msv2", "msv3", "msv4"}),
      choice("decoder", "transposed_conv", "decoder up-sampling: the figure's, or the released trilinear one",
             {"transposed_conv", "released"}),
      choice("ssm_parameters", "shared", "state-space parameters of the scan directions", {"shared", "per_direction"}),
      choice("merge", "mean", "how the directions are merged", {"mean", "sum"}),
      choice("dwh_order", "released",
             "dual_dwh: merge the depth branch in its own (H, W, D) order as released, or put it back",
             {"released", "corrected"}),
      choice("msv4_fusion", "sequence",
             "msv4: one scan over the scales' tokens in a row (released), or over their sum (figure)",
             {"sequence", "before_scan"}),
      choice("random_order", "fixed",
             "dual_random: one order from the seed, a fresh one at every call (released), or the "
             "reference records'",
             {"fixed", "per_call", "reference"}),
      choice("initialisation", "released",
             "released: the network-wide rule overwrites dt_proj; mamba: dt_proj keeps its own", {"released", "mamba"}),
      choice("supervised_heads", "all", "released: the coarsest head is built but never supervised",
             {"all", "released"}),
      choice("decoder_dwconv", "same", "dwconv of the decoder", {"same", "1d", "3d"}),
      choice("decoder_scan", "same", "scan of the decoder", decoder_scans),
      choice("decoder_multiscale", "none", "multi-scale mixers in the decoder", {"none", "msv4"}),
      {"sc_en",
       string_list,
       Json::array(),
       "mixer of each encoder stage: M(amba), T(ransformer), N(one); empty: by `mixer`",
       {"M", "T", "N"}},
      {"sc", string_list, Json::array(), "the same for the decoder", {"M", "T", "N"}}};
}

std::vector<OptionSpec> size_options() {
  return {sizes("encoder_embed_dims", {48, 128, 256, 512}, "widths of the four encoder stages"),
          whole("stem_channels", 32, "width of the stem and of the last decoder stage", 1),
          sizes("decoder_embed_dims", Json::array(),
                "widths of the decoder; must mirror the encoder, then the stem; empty: they do"),
          sizes("depths_en", {2, 3, 4, 3}, "mixer layers of the encoder stages", 0),
          sizes("depths", {3, 4, 3}, "mixer layers of the decoder stages", 0),
          sizes("encoder_num_heads", {1, 2, 4, 8}, "attention heads of the encoder stages"),
          sizes("decoder_num_heads", {8, 4, 2}, "attention heads of the decoder stages"),
          sizes("encoder_sr_ratios", Json::array(),
                "reduction of keys and values; empty: 6, 4, 2, 1, or 1 for full attention"),
          sizes("decoder_sr_ratios", Json::array(), "the same for the decoder; empty: 2, 4, 6, or 1"),
          real("mlp_ratio", 4, "hidden width of the transformer's MLP over its width", 0.01),
          flag("encoder_qkv_bias", true, "bias of q, k, v in the encoder"),
          flag("decoder_qkv_bias", false, "bias of q, k, v in the decoder"),
          real("encoder_norm_eps", 1e-6, "LayerNorm epsilon of the encoder's transformer blocks", 0),
          real("decoder_norm_eps", 1e-5, "LayerNorm epsilon of the decoder", 0)};
}

std::vector<OptionSpec> detail_options() {
  return {whole("d_state", 16, "states of the selective scan", 1),
          real("expand", 2, "inner width of the Mamba mixer over its width", 0.01),
          whole("dt_rank", 0, "rank of the step size; 0: width / 16, rounded up", 0),
          whole("d_conv", 0, "kernel of the depthwise convolution; 0: 4 causal, 3 on the grid", 0),
          flag("bias", false, "bias of in_proj and out_proj"),
          flag("conv_bias", true, "bias of the depthwise convolutions"),
          flag("inner_layernorms", false, "RMSNorm of the step size, B and C (Jamba)"),
          real("rms_norm_eps", 1e-5, "epsilon of the RMSNorms", 0),
          flag(kCheckpointMixers, false, kCheckpointMixersDescription),
          real("dt_min", 0.001, "initialisation mamba: smallest step size", 1e-12),
          real("dt_max", 0.1, "initialisation mamba: largest step size", 1e-12),
          choice("dt_init", "random", "initialisation mamba: dt_proj's weights", {"random", "constant"}),
          real("dt_scale", 1, "initialisation mamba: scale of dt_proj's weights", 0),
          choice("norm_cfg", "IN", "normalisation after convolutions (the released decoder's blocks keep IN)",
                 {"IN", "BN", "SyncBN", "GN"}),
          choice("activation_cfg", "LeakyReLU",
                 "activation after convolutions (the released decoder's blocks keep LeakyReLU)", {"LeakyReLU", "ReLU"}),
          flag("weight_std", false, "weight standardisation of the convolutions"),
          flag("more_conv_en", false, "a second convolution in the encoder's patch embeddings"),
          flag("more_conv_de", false, "a convolution after the figure decoder's transposed one"),
          flag("deep_supervision", true, "four coarser outputs in training")};
}

Integers list_of(const Json& options, const char* name, std::size_t length) {
  const auto values = options.at(name).get<Integers>();
  if (values.size() != length)
    throw UserError("option '" + std::string(name) + "' needs " + std::to_string(length) + " values, got " +
                    options.at(name).dump());
  return values;
}

Integers list_or(const Json& options, const char* name, const Integers& otherwise) {
  return options.at(name).empty() ? otherwise : list_of(options, name, otherwise.size());
}

std::vector<char> kinds_of(const Json& options, const char* name, std::size_t length) {
  const std::string mixer = options.at("mixer");
  const char usual = mixer == "mamba" ? 'M' : mixer == "none" ? 'N' : 'T';
  const Json& given = options.at(name);
  if (given.empty()) return std::vector<char>(length, usual);
  if (given.size() != length)
    throw UserError("option '" + std::string(name) + "' needs " + std::to_string(length) + " values, got " +
                    given.dump());
  std::vector<char> kinds;
  for (const auto& kind : given) kinds.push_back(kind.get<std::string>()[0]);
  return kinds;
}

TokenMixerShape mixer_shape(const Json& options, std::uint64_t seed) {
  TokenMixerShape shape;
  shape.d_state = options.at("d_state");
  shape.bias = options.at("bias"), shape.conv_bias = options.at("conv_bias");
  shape.inner_layernorms = options.at("inner_layernorms");
  shape.rms_norm_eps = options.at("rms_norm_eps");
  shape.shared_parameters = options.at("ssm_parameters") == "shared";
  shape.mean_merge = options.at("merge") == "mean";
  shape.fusion = options.at("msv4_fusion") == "sequence" ? ScaleFusion::sequence : ScaleFusion::before_scan;
  const std::string random = options.at("random_order");
  shape.random = random == "fixed"      ? RandomOrder::fixed
                 : random == "per_call" ? RandomOrder::per_call
                                        : RandomOrder::reference;
  shape.seed = seed;
  shape.dt_min = options.at("dt_min"), shape.dt_max = options.at("dt_max"), shape.dt_scale = options.at("dt_scale");
  shape.dt_random = options.at("dt_init") == "random";
  shape.checkpointed = options.at(kCheckpointMixers);
  return shape;
}

void set_axes(TokenMixerShape& shape, const Json& options, const std::string& dwconv, const std::string& scan,
              bool scales) {
  shape.convolution_3d = dwconv == "3d";
  shape.branches = scan_branches(scan, options.at("dwh_order") == "corrected");
  const std::int64_t given = options.at("d_conv"), kernel = given ? given : shape.convolution_3d ? 3 : 4;
  shape.kernels = scales ? Integers{kernel, 5, 7} : Integers{kernel};
}

std::string same_or(const Json& options, const char* name, const char* other) {
  return options.at(options.at(name) == "same" ? other : name);
}

void set_widths(UlikeConfig& config, const Json& options) {
  config.encoder_widths = list_of(options, "encoder_embed_dims", 4);
  const auto& encoder = config.encoder_widths;
  const Integers mirrored{encoder[2], encoder[1], encoder[0], options.at("stem_channels").get<std::int64_t>()};
  config.decoder_widths = list_or(options, "decoder_embed_dims", mirrored);
  for (int i = 0; i < 3; ++i)
    if (config.decoder_widths[i] != mirrored[i])
      throw UserError(
          "option 'decoder_embed_dims': skip connections are added, so the first three widths must be the "
          "encoder's in reverse, " +
          Json(Integers(mirrored.begin(), mirrored.begin() + 3)).dump() + "; leave the option out to have them");
}

void set_stages(UlikeConfig& config, const Json& options) {
  config.encoder_kinds = kinds_of(options, "sc_en", 4);
  config.decoder_kinds = kinds_of(options, "sc", 3);
  config.encoder_depths = list_of(options, "depths_en", 4);
  config.decoder_depths = list_of(options, "depths", 3);
  config.encoder_heads = list_of(options, "encoder_num_heads", 4);
  config.decoder_heads = list_of(options, "decoder_num_heads", 3);
  const bool full = options.at("mixer") == "attention";
  config.encoder_reductions = list_or(options, "encoder_sr_ratios", full ? Integers{1, 1, 1, 1} : Integers{6, 4, 2, 1});
  config.decoder_reductions = list_or(options, "decoder_sr_ratios", full ? Integers{1, 1, 1} : Integers{2, 4, 6});
  config.mlp_ratio = options.at("mlp_ratio");
  config.encoder_qkv_bias = options.at("encoder_qkv_bias"), config.decoder_qkv_bias = options.at("decoder_qkv_bias");
  config.encoder_norm_eps = options.at("encoder_norm_eps"), config.decoder_norm_eps = options.at("decoder_norm_eps");
}

void set_scales(UlikeConfig& config, const std::string& scheme) {
  if (scheme == "msv1" || scheme == "msv2") config.patch_kernels = {3, 7};
  if (scheme == "msv3") config.patch_kernels = {3, 5, 7};
  config.mixer_per_kernel = scheme == "msv1";
  const bool mamba =
      std::find(config.encoder_kinds.begin(), config.encoder_kinds.end(), 'M') != config.encoder_kinds.end();
  if (scheme == "msv4" && !mamba)
    throw UserError(
        "multiscale msv4 lies inside the Mamba mixer: with attention or no mixer choose none, msv1, msv2 or msv3");
}

}  // namespace

OptionSchema ulike_schema(const std::string& kind) {
  std::vector<OptionSpec> specs = axis_options();
  for (const auto& group : {size_options(), detail_options()}) specs.insert(specs.end(), group.begin(), group.end());
  return OptionSchema(kind, std::move(specs));
}

TokenMixerShape UlikeConfig::mixer_for(const TokenMixerShape& base, std::int64_t width) const {
  TokenMixerShape shape = base;
  shape.d_model = width;
  shape.d_inner = static_cast<std::int64_t>(expand * static_cast<double>(width));
  shape.dt_rank = dt_rank ? dt_rank : (width + 15) / 16;
  return shape;
}

UlikeConfig ulike_config(const Json& options, std::uint64_t seed) {
  UlikeConfig config;
  set_widths(config, options);
  set_stages(config, options);
  const std::string scheme = options.at("multiscale");
  set_scales(config, scheme);
  config.encoder_mixer = config.decoder_mixer = mixer_shape(options, seed);
  set_axes(config.encoder_mixer, options, options.at("dwconv"), options.at("scan"), scheme == "msv4");
  set_axes(config.decoder_mixer, options, same_or(options, "decoder_dwconv", "dwconv"),
           same_or(options, "decoder_scan", "scan"), options.at("decoder_multiscale") == "msv4");
  config.dt_rank = options.at("dt_rank");
  config.expand = options.at("expand");
  config.style = {options.at("norm_cfg"), options.at("activation_cfg"), options.at("weight_std")};
  config.more_conv_en = options.at("more_conv_en"), config.more_conv_de = options.at("more_conv_de");
  config.released_decoder = options.at("decoder") == "released";
  config.deep_supervision = options.at("deep_supervision");
  config.released_heads = options.at("supervised_heads") == "released";
  config.initialise_dt = options.at("initialisation") == "mamba";
  return config;
}

}  // namespace m3d
