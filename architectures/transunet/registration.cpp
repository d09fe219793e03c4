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
  Architecture architecture;
  architecture.name = "transunet", architecture.title = "TransUNet", architecture.family = "transformer";
  architecture.paper = "Chen et al., TransUNet, arXiv:2102.04306 (2021)";
  architecture.source = "Beckschen/TransUNet: networks/vit_seg_modeling.py (VisionTransformer, R50-ViT-B_16)";
  architecture.bibtex = kBibtex;
  architecture.options = transunet_schema("option of transunet");
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
  architecture.divisors = [](const Json& options) {
    const auto size = options.at("patch_size").get<std::vector<std::int64_t>>();
    const std::int64_t edge = options.at("hybrid").get<bool>() || size.empty() ? 16 : size[0];
    return std::array<std::int64_t, 3>{1, edge, edge};
  };
  architecture.build = build_transunet;
  register_architecture(architecture);
  register_record_forms(transunet_record_form);
}

}  // namespace m3d
