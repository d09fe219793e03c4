#include "architectures/nnformer/nnformer_network.h"
#include "architectures/record_config.h"
#include "architectures/record_forms.h"

namespace m3d {
namespace {

constexpr const char* kBibtex =
    "@article{zhou2023nnformer,\n"
    "  author = {Zhou, Hong-Yu and Guo, Jiansen and Zhang, Yinghao and Han, Xiaoguang and Yu, Lequan and Wang, "
    "Liansheng "
    "and Yu, Yizhou},\n"
    "  title = {nnFormer: Volumetric Medical Image Segmentation via a 3D Transformer},\n"
    "  journal = {IEEE Transactions on Image Processing},\n  volume = {32},\n  pages = {4036--4045},\n"
    "  year = {2023}\n}";

struct Preset {
  const char* name;
  const char* title;
  const char* file;
  NnFormerVariant variant;
  std::array<std::int64_t, 3> reduced_patch;
  Json reduced_windows;
};

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = {
      {"nnformer", "nnFormer", "nnFormer_synapse.py", NnFormerVariant::synapse, {16, 32, 64}, {2, 2, 2, 2}},
      {"nnformer_tumor", "nnFormer (tumor)", "nnFormer_tumor.py", NnFormerVariant::tumor, {32, 32, 64}, {2, 2, 2, 2}},
      {"nnformer_acdc",
       "nnFormer (ACDC)",
       "nnFormer_acdc.py",
       NnFormerVariant::acdc,
       {6, 32, 64},
       {{2, 3, 3}, {3, 2, 2}, {3, 2, 2}, {1, 2, 2}}}};
  return all;
}

Architecture make_architecture(const Preset& preset) {
  const NnFormerVariant variant = preset.variant;
  Architecture architecture;
  architecture.name = preset.name, architecture.title = preset.title, architecture.family = "transformer";
  architecture.paper = "Zhou et al., nnFormer, IEEE TIP 32 (2023), arXiv:2109.03201";
  architecture.source = "282857341/nnFormer: nnformer/network_architecture/" + std::string(preset.file);
  architecture.bibtex = kBibtex;
  architecture.options = nnformer_schema(variant, "option of " + std::string(preset.name));
  architecture.reduced = {{"embedding_dim", 12},
                          {"depths", {2, 1, 1, 1}},
                          {"num_heads", {1, 2, 2, 4}},
                          {"window_size", preset.reduced_windows},
                          {"drop_path_rate", 0}};
  architecture.widths = {{"embedding_dim", 12}};
  architecture.reduced_patch = preset.reduced_patch;
  architecture.divisors = [=](const Json& options) { return nnformer_divisors(variant, options); };
  architecture.outputs = [=](const Json& options) { return options.at("deep_supervision") ? 3 : 1; };
  architecture.build = [=](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_nnformer(input, nnformer_config(variant, input, options), seed);
  };
  return architecture;
}

std::optional<RecordForm> nnformer_record_form(const std::string& name, const Json& given) {
  for (const auto& preset : presets()) {
    if (name != preset.name) continue;
    RecordConfig config(given);
    RecordForm form{name, {}, Json::object()};
    form.input.patch = config.get<Grid>("crop_size", Grid{});
    form.input.channels = config.get<std::int64_t>("input_channels", 1);
    form.input.classes = config.get<std::int64_t>("num_classes", 14);
    config.expect("conv_op", {"Conv3d", "nn.Conv3d"});
    const OptionSchema& schema = find_architecture(name).options;
    for (const auto& option : schema.names()) config.copy(option, form.options);
    config.require_all_used();
    return form;
  }
  return std::nullopt;
}

}  // namespace

void register_nnformer();
void register_nnformer() {
  for (const auto& preset : presets()) register_architecture(make_architecture(preset));
  register_record_forms(nnformer_record_form);
}

}  // namespace m3d
