#include "architectures/record_config.h"
#include "architectures/record_forms.h"
#include "architectures/swin_unet/swin_unet_network.h"

namespace m3d {
namespace {

constexpr const char* kName = "swin_unet";
constexpr const char* kBibtex =
    "@inproceedings{cao2022swinunet,\n"
    "  author = {Cao, Hu and Wang, Yueyue and Chen, Joy and Jiang, Dongsheng and Zhang, Xiaopeng and Tian, Qi and "
    "Wang, Manning},\n"
    "  title = {Swin-Unet: Unet-Like Pure Transformer for Medical Image Segmentation},\n"
    "  booktitle = {Computer Vision -- ECCV 2022 Workshops},\n  pages = {205--218},\n  year = {2023}\n}";

Architecture swin_unet() {
  Architecture architecture;
  architecture.name = kName, architecture.title = "Swin-Unet", architecture.family = "transformer";
  architecture.paper = "Cao et al., Swin-Unet, ECCVW 2022, arXiv:2105.05537";
  architecture.source =
      "HuCaoFighting/Swin-Unet: networks/swin_transformer_unet_skip_expand_decoder_sys.py, vision_transformer.py";
  architecture.bibtex = kBibtex;
  architecture.options = swin_unet_schema();
  architecture.reduced = {{"embed_dim", 12},
                          {"depths", {2, 1, 1, 1}},
                          {"num_heads", {1, 2, 2, 4}},
                          {"window_size", 2},
                          {"drop_path_rate", 0}};
  architecture.widths = {{"embed_dim", 12}};
  architecture.reduced_patch = {2, 32, 64};
  architecture.divisors = [](const Json& options) { return swin_unet_divisors(swin_unet_config({}, options)); };
  architecture.build = [](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_swin_unet(input, swin_unet_config(input, options), seed);
  };
  return architecture;
}

/// SwinTransformerSys, which takes its channels as they are and always expands by 4 at the end.
std::optional<RecordForm> swin_unet_record_form(const std::string& name, const Json& given) {
  if (name != kName) return std::nullopt;
  RecordConfig config(given);
  RecordForm form{kName, {}, {{"repeat_single_channel", false}, {"final_scale", 4}}};
  if (const Json size = config.get<Json>("img_size", nullptr); size.is_array())
    form.input.patch = {1, size.at(0), size.at(1)};
  else if (!size.is_null())
    form.input.patch = {1, size, size};
  form.input.channels = config.get<std::int64_t>("in_chans", 3);
  form.input.classes = config.get<std::int64_t>("num_classes", 1000);
  config.expect("norm_layer", {"LayerNorm", "nn.LayerNorm"});
  config.ignore({"depths_decoder"});  // the original's constructor takes it and never looks at it
  const OptionSchema& schema = find_architecture(kName).options;
  for (const auto& option : schema.names()) config.copy(option, form.options);
  config.require_all_used();
  return form;
}

}  // namespace

void register_swin_unet();
void register_swin_unet() {
  register_architecture(swin_unet());
  register_record_forms(swin_unet_record_form);
}

}  // namespace m3d
