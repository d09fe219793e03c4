#include "architectures/record_forms.h"
#include "architectures/transunet/transunet_network.h"
#include "architectures/transunet/transunet_records.h"

namespace m3d {
namespace {

constexpr const char* kBibtex =
    "@article{transunet2021,\n  author = {Chen, Jieneng and Lu, Yongyi and Yu, Qihang and Luo, Xiangde and Adeli, "
    "Ehsan "
    "and Wang, Yan and Lu, Le and Yuille, Alan L. and Zhou, Yuyin},\n  title = {{TransUNet}: Transformers Make Strong "
    "Encoders for Medical Image Segmentation},\n  journal = {arXiv preprint arXiv:2102.04306},\n  year = {2021}\n}";

}  // namespace

void register_transunet();
void register_transunet() {
  const OptionSchema schema = transunet_schema("option of transunet");
  const auto resolved = [schema](const Json& options) {
    return schema.resolve(options, [](const std::string& key) { return "options." + key; });
  };
  Architecture architecture;
  architecture.name = "transunet", architecture.title = "TransUNet", architecture.family = "transformer";
  architecture.paper = "Chen et al., TransUNet, arXiv:2102.04306 (2021)";
  architecture.source = "Beckschen/TransUNet: networks/vit_seg_modeling.py (VisionTransformer, R50-ViT-B_16)";
  architecture.bibtex = kBibtex;
  architecture.options = schema;
  architecture.reduced = {{"hidden_size", 16},
                          {"mlp_dim", 16},
                          {"num_heads", 2},
                          {"num_layers", 1},
                          {"resnet", {1, 1, 1}},
                          {"width_factor", 0.5},
                          {"decoder_channels", {8, 8, 8, 8}},
                          {"head_channels", 16}};
  // Twelve heads share the transformer's width. The ResNet keeps its own, which follows a factor.
  architecture.widths = {{"hidden_size", 12}, {"mlp_dim"}, {"decoder_channels", 4}, {"head_channels", 4}};
  architecture.reduced_patch = {2, 32, 32};
  architecture.divisors = [resolved](const Json& options) {
    const Json all = resolved(options);
    const auto size = all.at("patch_size").get<std::vector<std::int64_t>>();
    const std::int64_t edge = all.at("hybrid").get<bool>() || size.empty() ? 16 : size[0];
    return std::array<std::int64_t, 3>{1, edge, edge};
  };
  architecture.outputs = [](const Json&) { return 1; };
  architecture.build = [resolved](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_transunet(input, resolved(options), seed);
  };
  register_architecture(architecture);
  register_record_forms(transunet_record_form);
}

}  // namespace m3d
