#include "architectures/ulike/ulike_records.h"

#include <algorithm>
#include <map>

#include "architectures/record_config.h"
#include "architectures/ulike/ulike_network.h"
#include "common/error.h"
#include "common/nearest_name.h"

namespace m3d {
namespace {

struct MixerAxes {
  std::string dwconv, scan;
  bool msv4 = false;
};

/// The original's mixer files, as the records' encoder_mixer and decoder_mixer name them.
const std::map<std::string, MixerAxes>& mixer_files() {
  static const std::map<std::string, MixerAxes> files = {{"mamba", {"1d", "single"}},
                                                         {"mamba_3d", {"3d", "single"}},
                                                         {"mamba_3d_dual", {"3d", "dual"}},
                                                         {"mamba_3d_dual_channel", {"3d", "dual_channel"}},
                                                         {"mamba_3d_dual_rand", {"3d", "dual_random"}},
                                                         {"mamba_3d_dual_DWH", {"3d", "dual_dwh"}},
                                                         {"mamba_3d_tri", {"3d", "tri"}},
                                                         {"mamba_3d_ms", {"3d", "single", true}},
                                                         {"mamba_3d_ms_tri", {"3d", "tri", true}}};
  return files;
}

/// The records' names of single mixers, after "ulike_block_" or "ulike_layers_".
const std::map<std::string, MixerAxes>& mixer_names() {
  static const std::map<std::string, MixerAxes> names = {{"1d", {"1d", "single"}},
                                                         {"3d_single", {"3d", "single"}},
                                                         {"3d_dual_fwd_bwd", {"3d", "dual"}},
                                                         {"3d_dual_channel", {"3d", "dual_channel"}},
                                                         {"3d_dual_fwd_rand", {"3d", "dual_random"}},
                                                         {"3d_dual_dwh", {"3d", "dual_dwh"}},
                                                         {"3d_tri", {"3d", "tri"}},
                                                         {"3d_msv4", {"3d", "single", true}},
                                                         {"3d_msv4_tri", {"3d", "tri", true}}};
  return names;
}

bool starts_with(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

std::int64_t auto_or_integer(RecordConfig& config, const std::string& key, std::int64_t otherwise) {
  const Json value = config.get<Json>(key, "auto");
  return value.is_string() ? otherwise : value.get<std::int64_t>();
}

/// MambaConfig: the parts that all mixers share.
TokenMixerShape mixer_details(RecordConfig& config) {
  TokenMixerShape shape;
  shape.d_model = config.require<std::int64_t>("d_model");
  const double expand = config.get<double>("expand_factor", config.get<double>("expand", 2.0));
  shape.d_inner = static_cast<std::int64_t>(expand * static_cast<double>(shape.d_model));
  if (config.get<std::int64_t>("d_inner", shape.d_inner) != shape.d_inner)
    throw UserError("config: d_inner is not expand_factor * d_model");
  shape.dt_rank = auto_or_integer(config, "dt_rank", (shape.d_model + 15) / 16);
  shape.d_state = config.get<std::int64_t>("d_state", 16);
  shape.bias = config.get("bias", false);
  shape.conv_bias = config.get("conv_bias", true);
  shape.inner_layernorms = config.get("inner_layernorms", false);
  shape.rms_norm_eps = config.get("rms_norm_eps", 1e-5);
  shape.mean_merge = config.get("divide_output", true);
  shape.random = RandomOrder::reference;
  config.ignore({"dt_min", "dt_max", "dt_init", "dt_scale", "dt_init_floor", "base_std", "pscan", "use_cuda",
                 "use_fast_path", "layer_idx", "module", "size_dhw", "n_layers"});
  return shape;
}

TokenMixerShape mixer_of(RecordConfig& config, const MixerAxes& axes) {
  TokenMixerShape shape = mixer_details(config);
  shape.convolution_3d = axes.dwconv == "3d";
  const auto kernel = config.get<std::int64_t>("d_conv", shape.convolution_3d ? 3 : 4);
  shape.kernels = axes.msv4 ? std::vector<std::int64_t>{kernel, 5, 7} : std::vector<std::int64_t>{kernel};
  shape.branches = scan_branches(axes.scan, false);
  const bool several = axes.scan == "tri"      ? config.get("tridirectional", true)
                       : axes.scan == "single" ? true
                                               : config.get("bidirectional", true);
  if (!several) shape.branches.resize(1);
  return shape;
}

/// Mamba_MS of mamba_MS.py: three causal convolutions of different width, each with its own scan, outputs summed.
TokenMixerShape multi_width_mixer(RecordConfig& config) {
  TokenMixerShape shape = mixer_details(config);
  const auto widths = config.get<std::vector<std::int64_t>>("d_conv", {2, 3, 4});
  const bool several = config.get("mamba_ms", true);
  shape.convolution_3d = false, shape.shared_parameters = false, shape.mean_merge = false;
  const std::vector<std::string> suffixes{"", "_d2", "_d6"};
  for (std::size_t i = 0; i < (several ? 3 : 1); ++i) {
    ScanBranch branch{suffixes[i], scan_order("dhw")};
    branch.kernel = widths.at(i);
    branch.A_log = "A" + suffixes[i] + "_log";
    shape.branches.push_back(branch);
  }
  return shape;
}

template <class Mixer>
RecordBlock on_tokens(std::shared_ptr<Mixer> mixer, std::optional<Grid> grid) {
  return {mixer, [mixer, grid](const std::vector<torch::Tensor>& inputs) {
            return std::vector<torch::Tensor>{mixer->forward(inputs[0], grid ? *grid : Grid{1, 1, inputs[0].size(1)})};
          }};
}

std::optional<Grid> grid_in(const Json& config) {
  if (!config.contains("size_dhw")) return std::nullopt;
  return config.at("size_dhw").get<Grid>();
}

std::optional<RecordBlock> mixer_block(const std::string& name, const Json& given) {
  RecordConfig config(given);
  std::optional<RecordBlock> block;
  if (name == "ulike_block_mamba_ms_1d") {
    block = on_tokens(std::make_shared<TokenMixer>(multi_width_mixer(config)), std::nullopt);
  } else if (name == "mamba_block_plain") {
    block = on_tokens(std::make_shared<TokenMixer>(mixer_of(config, {"1d", "single"})), std::nullopt);
  } else if (starts_with(name, "ulike_block_") && mixer_names().count(name.substr(12))) {
    block =
        on_tokens(std::make_shared<TokenMixer>(mixer_of(config, mixer_names().at(name.substr(12)))), grid_in(given));
  } else if (starts_with(name, "ulike_layers_") && mixer_names().count(name.substr(13))) {
    const TokenMixerShape shape = mixer_of(config, mixer_names().at(name.substr(13)));
    block = on_tokens(std::make_shared<MambaStack>(shape, config.require<std::int64_t>("n_layers")), grid_in(given));
  }
  if (block) config.require_all_used();
  return block;
}

AttentionShape attention_of(RecordConfig& config) {
  AttentionShape shape{config.require<std::int64_t>("dim"), config.get<std::int64_t>("num_heads", 8),
                       config.get<std::int64_t>("sr_ratio", 1), config.get("qkv_bias", false)};
  if (const auto scale = config.get<double>("qk_scale", 0); scale != 0) shape.scale = scale;
  // Dropout is the identity in evaluation mode, in which records are written.
  config.ignore({"attn_drop", "proj_drop", "drop", "drop_path", "size_dhw", "module"});
  return shape;
}

/// Null act_layer and norm_layer mean the constructor's own: GELU and LayerNorm with epsilon 1e-5.
std::optional<RecordBlock> attention_block(const std::string& name, const Json& given) {
  RecordConfig config(given);
  std::optional<RecordBlock> block;
  if (starts_with(name, "ulike_block_attention")) {
    block = on_tokens(std::make_shared<Attention>(attention_of(config)), grid_in(given));
  } else if (starts_with(name, "ulike_block_transformer")) {
    const AttentionShape shape = attention_of(config);
    block =
        on_tokens(std::make_shared<TransformerBlock>(shape, config.get("mlp_ratio", 4.0), config.get("norm_eps", 1e-5)),
                  grid_in(given));
  }
  if (block) config.require_all_used();
  return block;
}

ConvolutionStyle style_of(RecordConfig& config, const std::string& norm, const std::string& activation) {
  return {config.get("norm_cfg", norm), config.get("activation_cfg", activation), config.get("weight_std", false)};
}

/// PatchEmbed_unet (BN and ReLU by default) and PatchEmbed_merge (IN and LeakyReLU).
RecordBlock patch_embedding(RecordConfig& config, bool merge) {
  const auto style = merge ? style_of(config, "IN", "LeakyReLU") : style_of(config, "BN", "ReLU");
  auto shape =
      cubic_convolution(config.get<std::int64_t>("in_chans", 1), config.get<std::int64_t>("embed_dim", 768),
                        config.get<std::int64_t>("kernel_size", 3), config.get<std::int64_t>("stride", 2), false);
  shape.padding.fill(config.get<std::int64_t>("padding", 1));
  shape.groups = config.get<std::int64_t>("groups", 1);
  const bool second = config.get(merge ? "more_conv_m" : "more_conv_en", false);
  config.ignore({"module", "img_size", "patch_size"});
  // PatchEmbed_unet's second convolution is depthwise where the first one is; PatchEmbed_merge's never.
  const std::int64_t second_groups = !merge && shape.groups == shape.in ? shape.out : 1;
  const auto module = std::make_shared<PatchEmbedding>(shape, style, second ? second_groups : 0);
  return {module, [module](const std::vector<torch::Tensor>& inputs) {
            return std::vector<torch::Tensor>{tokens_of(module->forward(inputs[0]))};
          }};
}

RecordBlock transposed_embedding(RecordConfig& config) {
  const auto style = style_of(config, "IN", "LeakyReLU");
  const auto module = std::make_shared<TransposedUp>(
      config.get<std::int64_t>("in_chans", 1), config.get<std::int64_t>("embed_dim", 768),
      config.get<Grid>("patch_size", {16, 16, 16}), config.get("more_conv_de", false), style);
  config.ignore({"module", "img_size"});
  return {module, [module](const std::vector<torch::Tensor>& inputs) {
            return std::vector<torch::Tensor>{tokens_of(module->forward(inputs[0]))};
          }};
}

RecordBlock trilinear_up(RecordConfig& config) {
  const auto style = style_of(config, "IN", "LeakyReLU");
  const auto module = std::make_shared<TrilinearUp>(config.require<std::int64_t>("in_chans"),
                                                    config.require<std::int64_t>("skip_chans"),
                                                    config.require<std::int64_t>("out_chans"), style);
  config.ignore({"module"});
  return {module,
          [module](const std::vector<torch::Tensor>& inputs) {
            return std::vector<torch::Tensor>{module->forward(inputs[0], inputs[1])};
          },
          config.require<std::vector<std::int64_t>>("skip_shape")};
}

std::optional<RecordBlock> convolution_part(const std::string& name, const Json& given) {
  RecordConfig config(given);
  std::optional<RecordBlock> block;
  if (starts_with(name, "ulike_part_decoder_up")) block = trilinear_up(config);
  if (starts_with(name, "ulike_part_patchembed_dec")) block = transposed_embedding(config);
  if (starts_with(name, "ulike_part_patchembed_unet")) block = patch_embedding(config, false);
  if (starts_with(name, "ulike_part_patchembed_merge")) block = patch_embedding(config, true);
  if (block) config.require_all_used();
  return block;
}

/// The numbers in the recorder's description of a transformer mixer: "BlockTr heads 2, mlp 4, qkv_bias, sr_ratio 2".
AttentionShape described_attention(const std::string& text, std::int64_t width, double& mlp_ratio) {
  const auto number = [&](const std::string& word, double otherwise) {
    const auto at = text.find(word + " ");
    return at == std::string::npos ? otherwise : std::stod(text.substr(at + word.size() + 1));
  };
  mlp_ratio = number("mlp", 4);
  return {width, static_cast<std::int64_t>(number("heads", 8)), static_cast<std::int64_t>(number("sr_ratio", 1)),
          text.find("qkv_bias") != std::string::npos};
}

/// Mixers of a file named in the recorder's description: "mamba_3d.py (3d single)".
TokenMixerShape described_mamba(const std::string& text, std::int64_t width) {
  const auto file = mixer_files().find(text.substr(0, text.find(".py")));
  if (file == mixer_files().end()) throw UserError("config: the mixer '" + text + "' is not known");
  const Json config = {{"d_model", width}};
  RecordConfig reader(config);
  return mixer_of(reader, file->second);
}

std::optional<RecordBlock> stage_block(const std::string& name, const Json& given) {
  if (!starts_with(name, "ulike_stage_msv")) return std::nullopt;
  RecordConfig config(given);
  const auto width = config.require<std::int64_t>("embed_dim"), depth = config.get<std::int64_t>("n_layers", 1);
  const auto stride = config.get<std::int64_t>("stride", 2);
  const std::string mixer = config.require<std::string>("mixer");
  const bool each = config.require<std::string>("scheme") == "MSv1", mamba = starts_with(mixer, "mamba");
  const TokenMixerShape scan = mamba ? described_mamba(mixer, width) : TokenMixerShape{};
  double mlp_ratio = 4;
  const AttentionShape attention = described_attention(mixer, width, mlp_ratio);
  const auto module = std::make_shared<torch::nn::Module>("Stage");
  const auto stage = std::make_shared<UlikeStage>();
  const auto kernels = config.require<std::vector<std::int64_t>>("kernels");
  for (const auto kernel : kernels) {
    const auto shape = cubic_convolution(config.require<std::int64_t>("in_chans"), width, kernel, stride, false);
    stage->embeddings.push_back(module->register_module("conv_k" + std::to_string(kernel),
                                                        std::make_shared<PatchEmbedding>(shape, ConvolutionStyle{})));
  }
  for (std::size_t i = 0; i < (each ? kernels.size() : 1); ++i)
    stage->mixers.push_back(
        module->register_module(each ? "mixer_k" + std::to_string(kernels[i]) : "mixer",
                                make_mixers(mamba ? 'M' : 'T', scan, attention, mlp_ratio, 1e-5, depth)));
  if (config.get<std::string>("fusion", "sum") != "sum" || config.get<std::string>("padding", "k//2") != "k//2")
    throw UserError("config: only the fusion 'sum' and the padding 'k//2' are known");
  config.ignore({"composed_by_recorder", "module"});
  config.require_all_used();
  return RecordBlock{module, [stage](const std::vector<torch::Tensor>& inputs) {
                       return std::vector<torch::Tensor>{tokens_of(stage->forward(inputs[0], {}))};
                     }};
}

/// Options of the mixers named by the record's encoder_mixer and decoder_mixer.
void set_mixers(RecordConfig& config, Json& options) {
  const auto encoder = config.get<std::string>("encoder_mixer", ""),
             decoder = config.get<std::string>("decoder_mixer", "");
  for (const auto& file : {encoder, decoder})
    if (!file.empty() && !mixer_files().count(file)) {
      std::vector<std::string> known;
      for (const auto& entry : mixer_files()) known.push_back(entry.first);
      throw UserError("config: " + unknown_name_message("mixer", file, known));
    }
  if (!encoder.empty()) {
    const MixerAxes& axes = mixer_files().at(encoder);
    options["dwconv"] = axes.dwconv, options["scan"] = axes.scan, options["multiscale"] = axes.msv4 ? "msv4" : "none";
  }
  if (decoder.empty()) return;
  const MixerAxes& axes = mixer_files().at(decoder);
  options["decoder_dwconv"] = axes.dwconv, options["decoder_scan"] = axes.scan;
  options["decoder_multiscale"] = axes.msv4 ? "msv4" : "none";
}

/// Other names of records: networks that are points of the axes here.
const std::map<std::string, Json>& named_points() {
  static const std::map<std::string, Json> points = {
      {"ulike_mamba_3d_dual", {{"scan", "dual"}}},         {"ulike_mamba_3d_dual_channel", {{"scan", "dual_channel"}}},
      {"ulike_mamba_3d_dual_dwh", {{"scan", "dual_dwh"}}}, {"ulike_mamba_3d_dual_rand", {{"scan", "dual_random"}}},
      {"ulike_mamba_3d_msv4", {{"multiscale", "msv4"}}},   {"ulike_mamba_3d_tri", {{"scan", "tri"}}}};
  return points;
}

}  // namespace

std::optional<RecordForm> ulike_record_form(const std::string& name, const Json& given) {
  if (!starts_with(name, "ulike_")) return std::nullopt;
  const bool figure = name.size() > 7 && name.substr(name.size() - 7) == "_figdec";
  const std::string plain = figure ? name.substr(0, name.size() - 7) : name;
  Json options = named_points().count(plain) ? named_points().at(plain) : Json::object();
  const auto names = architecture_names();
  RecordForm form;
  form.architecture = named_points().count(plain) ? "ulike_mamba_3d" : plain;
  if (std::find(names.begin(), names.end(), form.architecture) == names.end()) return std::nullopt;
  options["random_order"] = "reference";
  RecordConfig config(given);
  const std::string up =
      config.get<std::string>("decoder_upsampling", figure ? "transposed_conv" : "trilinear_1x1_add_conv3");
  options["decoder"] = up == "transposed_conv" ? "transposed_conv" : "released";
  set_mixers(config, options);
  form.input.patch = config.get<Grid>("img_size", {48, 192, 192});
  form.input.channels = config.get<std::int64_t>("in_chans", 1);
  form.input.classes = config.get<std::int64_t>("num_classes", 2);
  // Arguments of the original's constructor that its forward never looks at.
  config.ignore({"bimamba", "rand", "debi", "derand"});
  const OptionSchema& schema = find_architecture(form.architecture).options;
  for (const auto& spec : schema.specs())
    if (const Json value = config.get<Json>(spec.name, nullptr); !value.is_null()) options[spec.name] = value;
  config.require_all_used();
  // A mixer is named also where no stage of the encoder has one.
  if (options.contains("sc_en") && options["sc_en"].dump().find('M') == std::string::npos)
    options["multiscale"] = "none";
  if (options.contains("decoder_embed_dims") && options["decoder_embed_dims"].size() == 4)
    options["stem_channels"] = options["decoder_embed_dims"][3];
  form.options = options;
  return form;
}

std::optional<RecordBlock> ulike_record_block(const std::string& name, const Json& config) {
  for (const auto& build : {mixer_block, attention_block, convolution_part, stage_block})
    if (auto block = build(name, config)) return block;
  return std::nullopt;
}

}  // namespace m3d
