#include "architectures/record_forms.h"
#include "architectures/ulike/ulike_network.h"
#include "architectures/ulike/ulike_records.h"

namespace m3d {
namespace {

constexpr const char* kPaper = "Wang et al., arXiv:2503.19308 (2025)";
constexpr const char* kSource =
    "uakhan17/Mamba3D-MedSeg: nnunetv2/nets/Vmamba_stageC_MS_v6_3d_tri.py, net_modules.py, mambaBlock/";
constexpr const char* kBibtex =
    "@article{ulikemamba2025,\n  author = {Wang, Chaohan and Xie, Yutong and Chen, Qi and Zhou, Yuyin and Wu, Qi},\n"
    "  title = {A Comprehensive Analysis of Mamba for 3D Volumetric Medical Image Segmentation},\n"
    "  journal = {arXiv preprint arXiv:2503.19308},\n  year = {2025}\n}";

struct Preset {
  const char* name;
  const char* title;
  const char* family;
  std::vector<std::pair<const char*, const char*>> axes;
};

std::vector<ScanOrderUse> first_stage_orders(const UlikeConfig& config, const Grid& grid) {
  std::vector<ScanOrderUse> uses;
  if (config.encoder_kinds[0] != 'M') return uses;
  const TokenMixerShape& mixer = config.encoder_mixer;
  for (const auto& branch : mixer.branches)
    uses.push_back({branch.order.name, grid, permutation_of(branch.order, grid, mixer.random, mixer.seed)});
  return uses;
}

Architecture make_architecture(const Preset& preset) {
  OptionSchema schema = ulike_schema("option of " + std::string(preset.name));
  for (const auto& [axis, value] : preset.axes) schema = schema.with_default(axis, value);
  Architecture architecture;
  architecture.name = preset.name, architecture.title = preset.title, architecture.family = preset.family;
  architecture.paper = kPaper, architecture.source = kSource, architecture.bibtex = kBibtex;
  architecture.options = schema;
  architecture.reduced = {{"encoder_embed_dims", {8, 8, 16, 16}},
                          {"stem_channels", 8},
                          {"depths_en", {1, 1, 1, 1}},
                          {"depths", {1, 1, 1}},
                          {"d_state", 2},
                          {"encoder_num_heads", {1, 1, 2, 2}},
                          {"decoder_num_heads", {2, 1, 1}},
                          {"mlp_ratio", 2},
                          {"encoder_sr_ratios", {2, 2, 1, 1}},
                          {"decoder_sr_ratios", {1, 2, 2}}};
  architecture.widths = {{"encoder_embed_dims", 8}, {"stem_channels", 8}};
  // The released mixers hold state-space parameters of their own for each direction and use only the first ones.
  architecture.unused_parameters = {"_b", "_c"};
  architecture.divisors = [](const Json& options) { return ulike_divisors(options.at("decoder") == "released"); };
  architecture.outputs = [](const Json& options) {
    const UlikeConfig config = ulike_config(options, 0);
    return config.deep_supervision ? config.released_heads ? 4 : 5 : 1;
  };
  architecture.build = [](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_ulike(input, ulike_config(options, seed), seed);
  };
  architecture.scan_orders = [](const Json& options, const Grid& grid, std::uint64_t seed) {
    return first_stage_orders(ulike_config(options, seed), grid);
  };
  return architecture;
}

}  // namespace

void register_ulike();
void register_ulike() {
  const std::vector<Preset> presets = {
      {"ulike_mamba_1d", "UlikeMamba_1d", "mamba", {{"dwconv", "1d"}}},
      {"ulike_mamba_3d", "UlikeMamba_3d", "mamba", {}},
      {"ulike_mamba_3dmt", "UlikeMamba_3dMT", "mamba", {{"multiscale", "msv4"}, {"scan", "tri"}}},
      {"ulike_trans_vanilla", "UlikeTrans_vanilla", "transformer", {{"mixer", "attention"}}},
      {"ulike_trans_sra", "UlikeTrans_SRA", "transformer", {{"mixer", "sra"}}},
      {"ulike_none", "Ulike without mixer", "control", {{"mixer", "none"}}}};
  for (const auto& preset : presets) register_architecture(make_architecture(preset));
  register_record_forms(ulike_record_form);
  register_record_blocks(ulike_record_block);
}

}  // namespace m3d
