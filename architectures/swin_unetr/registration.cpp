#include "architectures/blocks/monai_norm.h"
#include "architectures/record_forms.h"
#include "architectures/swin_unetr/swin_unetr_network.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr const char* kCurrent = "swin_unetr";
constexpr const char* kLegacy = "swin_unetr_legacy";
constexpr const char* kLegacyMerging = "merging_pre_1_5";
constexpr const char* kBibtex =
    "@inproceedings{hatamizadeh2022swinunetr,\n"
    "  author = {Hatamizadeh, Ali and Nath, Vishwesh and Tang, Yucheng and Yang, Dong and Roth, Holger R. and Xu, "
    "Daguang},\n"
    "  title = {Swin UNETR: Swin Transformers for Semantic Segmentation of Brain Tumors in MRI Images},\n"
    "  booktitle = {Brainlesion: Glioma, Multiple Sclerosis, Stroke and Traumatic Brain Injuries (BrainLes 2021)},\n"
    "  pages = {272--284},\n  year = {2022}\n}";

Architecture make_architecture(const char* name, const char* title, const char* versions, const OptionSchema& schema) {
  Architecture architecture;
  architecture.name = name, architecture.title = title, architecture.family = "transformer";
  architecture.paper = "Hatamizadeh et al., Swin UNETR, BrainLes 2021, arXiv:2201.01266";
  architecture.source = std::string("Project-MONAI/MONAI ") + versions + ": monai/networks/nets/swin_unetr.py";
  architecture.bibtex = kBibtex;
  architecture.options = schema;
  architecture.reduced = {
      {"feature_size", 12}, {"depths", {2, 1, 1, 1}}, {"num_heads", {2, 2, 3, 4}}, {"window_size", {3, 3, 2}}};
  architecture.widths = {{"feature_size", 12}};
  architecture.reduced_patch = {32, 32, 64};
  architecture.divisors = swin_unetr_divisors;
  architecture.build = [](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_swin_unetr(input, swin_unetr_config(input, options), seed);
  };
  return architecture;
}

/// The original takes one size or a list of them; the options take a list of windows' and one of patches'.
void set_sizes(Json& options) {
  if (options.contains("window_size") && options.at("window_size").is_number())
    options["window_size"] = Json::array({options.at("window_size")});
  if (!options.contains("patch_size") || !options.at("patch_size").is_array()) return;
  const Json sizes = options.at("patch_size");
  for (const auto& size : sizes)
    if (size != sizes.at(0))
      throw UserError("config: patch_size is " + sizes.dump() + ", known: the same for all axes");
  options["patch_size"] = sizes.at(0);
}

std::optional<RecordForm> swin_unetr_record_form(const std::string& name, const Json& given) {
  if (name != kCurrent && name != kLegacy) return std::nullopt;
  RecordConfig config(given);
  RecordForm form{name, {}, {{"feature_size", 24}}};
  form.input.channels = config.require<std::int64_t>("in_channels");
  form.input.classes = config.require<std::int64_t>("out_channels");
  // img_size was only checked, never used; flash attention computes the same; the rest belongs to use_hyena.
  config.ignore({"img_size", "use_flash_attention", "hyena_kernel_size", "hyena_kernel_mlp_dim", "hyena_kernel_layers",
                 "hyena_mask_max_attenuation", "hyena_fft_padding", "hyena_grid_type", "hyena_use_chunked_fft",
                 "hyena_use_fft_short_conv", "hyena_omega_0", "hyena_l_cache", "hyena_short_conv_fft_chunks"});
  config.expect("norm_layer", {"LayerNorm", "nn.LayerNorm"});
  config.expect("use_hyena", {false});
  config.expect("hyena_stages", {{false, false, false, false}});
  const OptionSchema& schema = find_architecture(name).options;
  for (const auto& option : schema.names()) config.copy(option, form.options);
  copy_monai_norm(config, form.options);
  config.require_all_used();
  set_sizes(form.options);
  const std::string merging = form.options.value("downsample", "merging");
  if (name == kLegacy && (merging == "merging" || merging == "merging, pre-1.5 order"))
    form.options["downsample"] = kLegacyMerging;
  return form;
}

}  // namespace

void register_swin_unetr();
void register_swin_unetr() {
  const OptionSchema current = swin_unetr_schema("option of swin_unetr");
  const OptionSchema legacy =
      swin_unetr_schema("option of swin_unetr_legacy").with_default("downsample", kLegacyMerging);
  register_architecture(make_architecture(kCurrent, "Swin UNETR", "1.5 to 1.6", current));
  register_architecture(make_architecture(kLegacy, "Swin UNETR (MONAI < 1.5)", "before 1.5", legacy));
  register_record_forms(swin_unetr_record_form);
}

}  // namespace m3d
