#include "architectures/family.h"
#include "architectures/record_config.h"
#include "architectures/record_forms.h"
#include "architectures/segformer3d/segformer3d_network.h"
#include "common/error.h"

namespace m3d {
namespace {

/// The two states of the public code differ in the scale of attention.
struct Variant {
  const char* name;
  const char* title;
  const char* source;
  const char* scale;
  const char* memory;  // of the public code
};

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {
      {"segformer3d", "SegFormer3D",
       "uakhan17/Mamba3D-MedSeg: nnunetv2/nets/segformer3d.py (OSUPCVLab/SegFormer3D before November 2025)",
       "num_heads", "channels_last"},
      {"segformer3d_sdpa", "SegFormer3D (SDPA)", "OSUPCVLab/SegFormer3D: architectures/segformer3d.py", "head_dim",
       "channels_first"}};
  return all;
}

OptionSchema segformer3d_schema(const Variant& variant) {
  return OptionSchema(
      "option of " + std::string(variant.name),
      {integers_option("sr_ratios", {4, 2, 1, 1}, "edge of the cube of tokens that becomes a key, a stage"),
       integers_option("embed_dims", {32, 64, 160, 256}, "widths of the stages"),
       integers_option("patch_kernel_size", {7, 3, 3, 3}, "kernels of the patch embeddings"),
       integers_option("patch_stride", {4, 2, 2, 2},
                       "their strides; the decoder's output is 4 / the first one times as large as the patch"),
       integers_option("patch_padding", {3, 1, 1, 1}, "their paddings", 0),
       integers_option("mlp_ratios", {4, 4, 4, 4}, "hidden width of the MLPs over the width"),
       integers_option("num_heads", {1, 2, 5, 8}, "attention heads; each must divide the stage's width"),
       integers_option("depths", {2, 2, 2, 2}, "transformer blocks of the stages", 0),
       integer_option("decoder_head_embedding_dim", 256, "width of the decoder", 1),
       number_option("decoder_dropout", 0, "dropout before the last convolution", 0, 1),
       choice_option("attention_scale", variant.scale,
                     "scores are divided by the square root of this: the number of heads (as first released), or the "
                     "channels of a head",
                     {"num_heads", "head_dim"}),
       choice_option(
           "mlp_memory", "channels_last",
           "channels_first: as in the newer public code; slower, and LibTorch's CPU batch normalisation gives "
           "wrong gradients for a batch of one there",
           {"channels_last", "channels_first"}),
       flag_option("qkv_bias", true, "bias of queries, keys and values")});
}

/// "1/sqrt(num_heads)" or "1/sqrt(head_dim)", as records write it.
std::string scale_of(const std::string& text) {
  for (const std::string name : {"num_heads", "head_dim"})
    if (text == name || text == "1/sqrt(" + name + ")") return name;
  throw UserError("config: attention_scale is '" + text + "', known: 1/sqrt(num_heads), 1/sqrt(head_dim)");
}

std::optional<RecordForm> segformer3d_record_form(const std::string& name, const Json& given) {
  for (const auto& variant : variants()) {
    if (name != variant.name) continue;
    RecordConfig config(given);
    RecordForm form{.architecture = name, .input = {}, .options = Json::object()};
    form.input.channels = config.get<std::int64_t>("in_channels", 4);
    form.input.classes = config.get<std::int64_t>("num_classes", 3);
    for (const auto& key :
         {"sr_ratios", "embed_dims", "patch_kernel_size", "patch_stride", "patch_padding", "mlp_ratios", "num_heads",
          "depths", "decoder_head_embedding_dim", "decoder_dropout", "qkv_bias"})
      config.copy(key, form.options);
    form.options["attention_scale"] = scale_of(config.get<std::string>("attention_scale", variant.scale));
    form.options["mlp_memory"] = variant.memory;
    config.require_all_used();
    return form;
  }
  return std::nullopt;
}

Architecture make_architecture(const Variant& variant) {
  Architecture architecture;
  architecture.name = variant.name, architecture.title = variant.title, architecture.family = "transformer";
  architecture.paper = "Perera et al., CVPRW 2024, arXiv:2404.10156";
  architecture.source = variant.source;
  architecture.bibtex =
      "@inproceedings{perera2024segformer3d,\n"
      "  author = {Perera, Shehan and Navard, Pouyan and Yilmaz, Alper},\n"
      "  title = {{SegFormer3D}: An Efficient Transformer for {3D} Medical Image Segmentation},\n"
      "  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)\n"
      "               Workshops},\n"
      "  pages = {4981--4988},\n  year = {2024}\n}";
  architecture.options = segformer3d_schema(variant);
  architecture.reduced = {{"embed_dims", {8, 8, 10, 16}},
                          {"decoder_head_embedding_dim", 8},
                          {"mlp_ratios", {2, 2, 2, 2}},
                          {"depths", {1, 1, 1, 1}}};
  architecture.widths = {{"embed_dims", 1, {1, 2, 5, 8}}, {"decoder_head_embedding_dim"}};
  architecture.reduced_patch = {16, 32, 48};
  architecture.divisors = [](const Json& options) {
    const std::int64_t stride = options.at("patch_stride").at(0);
    return std::array<std::int64_t, 3>{stride, stride, stride};
  };
  architecture.build = [](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_segformer3d(input, segformer3d_config(options, input.channels), seed);
  };
  return architecture;
}

}  // namespace

void register_segformer3d();
void register_segformer3d() {
  for (const auto& variant : variants()) register_architecture(make_architecture(variant));
  register_record_forms(segformer3d_record_form);
}

}  // namespace m3d
