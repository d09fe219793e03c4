#include "architectures/nnunet/nnunet_network.h"
#include "architectures/nnunet/nnunet_records.h"
#include "architectures/record_forms.h"

namespace m3d {
namespace {

constexpr const char* kPlainBibtex =
    "@article{nnunet2021,\n  author = {Isensee, Fabian and Jaeger, Paul F. and Kohl, Simon A. A. and Petersen, Jens "
    "and "
    "Maier-Hein, Klaus H.},\n  title = {{nnU-Net}: a self-configuring method for deep learning-based biomedical image "
    "segmentation},\n  journal = {Nature Methods},\n  volume = {18},\n  number = {2},\n  pages = {203--211},\n"
    "  year = {2021}\n}";
constexpr const char* kResidualBibtex =
    "@inproceedings{nnunetrevisited2024,\n  author = {Isensee, Fabian and Wald, Tassilo and Ulrich, Constantin and "
    "Baumgartner, Michael and Roy, Saikat and Maier-Hein, Klaus and Jaeger, Paul F.},\n  title = {{nnU-Net} Revisited: "
    "A Call for Rigorous Validation in {3D} Medical Image Segmentation},\n  booktitle = {Medical Image Computing and "
    "Computer Assisted Intervention ({MICCAI})},\n  year = {2024}\n}";

Architecture make_architecture(const std::string& name, const std::string& title, bool residual, const char* conv_op) {
  const bool slices = std::string(conv_op) == "Conv2d";
  Architecture architecture;
  architecture.name = name, architecture.title = title, architecture.family = "cnn";
  architecture.paper = residual ? "Isensee et al., nnU-Net Revisited, MICCAI 2024, arXiv:2404.09556"
                                : "Isensee et al., nnU-Net, Nature Methods 18 (2021), arXiv:1809.10486";
  architecture.source =
      std::string("MIC-DKFZ/dynamic-network-architectures: dynamic_network_architectures/architectures/unet.py (") +
      (residual ? "ResidualEncoderUNet)" : "PlainConvUNet)");
  architecture.bibtex = residual ? kResidualBibtex : kPlainBibtex;
  architecture.options = nnunet_schema("option of " + name, residual)
                             .with_default("conv_op", conv_op)
                             .with_default("unet_max_num_features", slices ? 512 : 320);
  architecture.reduced = {{"n_stages", 3}, {"features_per_stage", {4, 8, 16}}};
  if (residual) architecture.reduced["n_blocks_per_stage"] = {1, 1, 2};
  architecture.reduced_patch = {8, 16, 24};
  architecture.widths = unet_widths(), architecture.state_aliases = unet_state_aliases();
  architecture.divisors = unet_divisors;
  architecture.outputs = unet_outputs;
  architecture.build = [residual](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_nnunet(input, nnunet_config(options, residual, input.patch), seed);
  };
  return architecture;
}

}  // namespace

void register_nnunet();
void register_nnunet() {
  register_architecture(make_architecture("nnunet_plain", "nnU-Net", false, "Conv3d"));
  register_architecture(make_architecture("nnunet_plain_2d", "nnU-Net 2D", false, "Conv2d"));
  register_architecture(make_architecture("nnunet_resenc", "nnU-Net ResEnc", true, "Conv3d"));
  register_record_forms(nnunet_record_form);
}

}  // namespace m3d
