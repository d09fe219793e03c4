#include "architectures/levit_unet/levit_network.h"
#include "architectures/levit_unet/levit_records.h"
#include "architectures/record_forms.h"

namespace m3d {
namespace {

constexpr const char* kBibtex =
    "@inproceedings{levitunet2023,\n  author = {Xu, Guoping and Zhang, Xuan and He, Xinwei and Wu, Xinglong},\n  title "
    "= "
    "{{LeViT-UNet}: Make Faster Encoders with Transformer for Medical Image Segmentation},\n  booktitle = {Pattern "
    "Recognition and Computer Vision ({PRCV})},\n  pages = {42--53},\n  year = {2023}\n}";

}  // namespace

void register_levit_unet();
void register_levit_unet() {
  Architecture architecture;
  architecture.name = "levit_unet_384", architecture.title = "LeViT-UNet-384", architecture.family = "transformer";
  architecture.paper = "Xu et al., LeViT-UNet, PRCV 2023, arXiv:2107.08623";
  architecture.source = "apple1986/LeViT-UNet: LeViT-UNet-384.py (LeViT_UNet_384)";
  architecture.bibtex = kBibtex;
  architecture.options = levit_schema("option of levit_unet_384");
  architecture.reduced = {{"embed_dim", {16, 16, 24}},
                          {"key_dim", {4, 4, 4}},
                          {"num_heads", {2, 2, 2}},
                          {"depth", {1, 1, 1}},
                          {"decoder_channels", {16, 8, 8}}};
  architecture.widths = {{"embed_dim", 8}, {"key_dim", 4}, {"decoder_channels", 4}};
  architecture.reduced_patch = {2, 64, 64};
  architecture.divisors = [](const Json&) { return std::array<std::int64_t, 3>{1, 32, 32}; };
  architecture.build = build_levit_unet;
  register_architecture(architecture);
  register_record_forms(levit_record_form);
}

}  // namespace m3d
