#include "architectures/mednext/mednext_network.h"
#include "architectures/mednext/mednext_records.h"
#include "architectures/record_forms.h"

namespace m3d {
namespace {

constexpr const char* kBibtex =
    "@inproceedings{mednext2023,\n  author = {Roy, Saikat and Koehler, Gregor and Ulrich, Constantin and Baumgartner, "
    "Michael and Petersen, Jens and Isensee, Fabian and Jaeger, Paul F. and Maier-Hein, Klaus},\n  title = {{MedNeXt}: "
    "Transformer-driven Scaling of {ConvNets} for Medical Image Segmentation},\n  booktitle = {Medical Image Computing "
    "and Computer Assisted Intervention ({MICCAI})},\n  year = {2023}\n}";

Architecture make_architecture(const std::string& name, const std::string& title, std::int64_t kernel) {
  Architecture architecture;
  architecture.name = name, architecture.title = title, architecture.family = "cnn";
  architecture.paper = "Roy et al., MedNeXt, MICCAI 2023, arXiv:2303.09975";
  architecture.source = "MIC-DKFZ/MedNeXt: nnunet_mednext/network_architecture/mednextv1/MedNextV1.py (MedNeXt)";
  architecture.bibtex = kBibtex;
  architecture.options = mednext_schema("option of " + name, kernel);
  architecture.reduced = {{"n_channels", 2}, {"exp_r", {2}}, {"block_counts", {1}}};
  architecture.reduced_patch = {16, 16, 32};
  architecture.widths = {{"n_channels"}};
  architecture.unused_parameters = {"dummy_tensor"};
  architecture.divisors = [](const Json& options) { return mednext_divisors(mednext_config(options)); };
  architecture.outputs = [](const Json& options) { return options.at("deep_supervision") ? 5 : 1; };
  architecture.build = [](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_mednext(input, mednext_config(options), seed);
  };
  return architecture;
}

}  // namespace

void register_mednext();
void register_mednext() {
  register_architecture(make_architecture("mednext_k3", "MedNeXt-k3", 3));
  register_architecture(make_architecture("mednext_k5", "MedNeXt-k5", 5));
  register_record_forms(mednext_record_form);
}

}  // namespace m3d
