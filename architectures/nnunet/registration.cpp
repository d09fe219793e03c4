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

std::array<std::int64_t, 3> divisors_of(const Json& options) {
  const auto strides = nnunet_strides(options);
  std::array<std::int64_t, 3> product{1, 1, 1};
  // A planned encoder takes any patch; with these it has four halvings along every axis that is long enough.
  if (strides.empty()) product = {nnunet_dimensions(options) == 2 ? 1 : 16, 16, 16};
  for (const auto& stride : strides)
    for (std::size_t axis = 0; axis < 3; ++axis) product[axis] *= stride[axis];
  return product;
}

/// One fewer than stages; the number of stages may have to be planned, for which a patch of 128 voxels stands.
int outputs_of(const Json& options, bool residual) {
  if (!options.at("deep_supervision").get<bool>()) return 1;
  return static_cast<int>(nnunet_config(options, residual, {128, 128, 128}).stages.count()) - 1;
}

Architecture make_architecture(const std::string& name, const std::string& title, bool residual, const char* conv_op) {
  const bool slices = std::string(conv_op) == "Conv2d";
  const OptionSchema schema = nnunet_schema("option of " + name, residual)
                                  .with_default("conv_op", conv_op)
                                  .with_default("max_features", slices ? 512 : 320);
  const auto resolved = [schema](const Json& options) {
    return schema.resolve(options, [](const std::string& key) { return "options." + key; });
  };
  Architecture architecture;
  architecture.name = name, architecture.title = title, architecture.family = "cnn";
  architecture.paper = residual ? "Isensee et al., nnU-Net Revisited, MICCAI 2024, arXiv:2404.09556"
                                : "Isensee et al., nnU-Net, Nature Methods 18 (2021), arXiv:1809.10486";
  architecture.source =
      std::string("MIC-DKFZ/dynamic-network-architectures: dynamic_network_architectures/architectures/unet.py (") +
      (residual ? "ResidualEncoderUNet)" : "PlainConvUNet)");
  architecture.bibtex = residual ? kResidualBibtex : kPlainBibtex;
  architecture.options = schema;
  architecture.reduced = {{"n_stages", 3}, {"features_per_stage", {4, 8, 16}}};
  if (residual) architecture.reduced["n_blocks_per_stage"] = {1, 1, 2};
  architecture.reduced_patch = {8, 16, 24};
  architecture.widths = {{"features_per_stage"}, {"base_features"}, {"max_features"}};
  if (residual) architecture.widths.push_back({"bottleneck_channels"});
  // The original lists each unit's layers a second time in the order in which they run, and the encoder in the decoder.
  architecture.state_aliases = {{"^decoder\\.encoder\\.", "encoder."},
                                {"\\ball_modules\\.0\\.", "conv."},
                                {"\\ball_modules\\.[1-9]\\.", "norm."}};
  architecture.divisors = [resolved](const Json& options) { return divisors_of(resolved(options)); };
  architecture.outputs = [resolved, residual](const Json& options) { return outputs_of(resolved(options), residual); };
  architecture.build = [resolved, residual](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_nnunet(input, nnunet_config(resolved(options), residual, input.patch), seed);
  };
  architecture.scan_orders = [](const Json&, const std::array<std::int64_t, 3>&, std::uint64_t) {
    return std::vector<ScanOrderUse>{};
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
