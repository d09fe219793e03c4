#include "architectures/blocks/unet_plan.h"
#include "architectures/umamba/umamba_network.h"
#include "architectures/umamba/umamba_records.h"

namespace m3d {
namespace {

constexpr const char* kPaper = "Ma et al., U-Mamba, arXiv:2401.04722 (2024)";
constexpr const char* kBibtex =
    "@article{umamba2024,\n  author = {Ma, Jun and Li, Feifei and Wang, Bo},\n"
    "  title = {{U-Mamba}: Enhancing Long-range Dependency for Biomedical Image Segmentation},\n"
    "  journal = {arXiv preprint arXiv:2401.04722},\n  year = {2024}\n}";

struct Preset {
  const char* name;
  const char* title;
  bool in_encoder, mixer;
};

Architecture make_architecture(const Preset& preset) {
  const bool in_encoder = preset.in_encoder;
  Architecture architecture;
  architecture.name = preset.name, architecture.title = preset.title;
  architecture.family = preset.mixer ? "mamba" : "control";
  architecture.paper = kPaper, architecture.bibtex = kBibtex;
  architecture.source =
      std::string("bowang-lab/U-Mamba: umamba/nnunetv2/nets/") +
      (in_encoder ? "UMambaEnc_3d.py, UMambaEnc_2d.py (UMambaEnc)" : "UMambaBot_3d.py, UMambaBot_2d.py (UMambaBot)");
  architecture.options =
      umamba_schema("option of " + std::string(preset.name)).with_default("mixer", preset.mixer ? "mamba" : "none");
  architecture.reduced = {
      {"n_stages", 3}, {"features_per_stage", {4, 8, 16}}, {"n_conv_per_stage", {1}}, {"d_state", 2}};
  architecture.reduced_patch = {8, 16, 16};
  architecture.widths = unet_widths(), architecture.state_aliases = unet_state_aliases();
  architecture.divisors = unet_divisors;
  architecture.outputs = unet_outputs;
  architecture.build = [in_encoder](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_umamba(input, umamba_config(options, in_encoder, input.patch), seed);
  };
  architecture.scan_orders = [](const Json& options, const Grid& grid, std::uint64_t) {
    const ScanOrder& order = scan_order("dhw");
    if (options.at("mixer") == "none") return std::vector<ScanOrderUse>{};
    return std::vector<ScanOrderUse>{{order.name, grid, permutation_of(order, grid, RandomOrder::fixed, 0)}};
  };
  return architecture;
}

}  // namespace

void register_umamba();
void register_umamba() {
  const std::vector<Preset> presets = {{"umambabot", "U-Mamba_Bot", false, true},
                                       {"umambaenc", "U-Mamba_Enc", true, true},
                                       {"umambabot_none", "U-Mamba_Bot without mixer", false, false},
                                       {"umambaenc_none", "U-Mamba_Enc without mixer", true, false}};
  for (const auto& preset : presets) register_architecture(make_architecture(preset));
  register_record_forms(umamba_record_form);
  register_record_blocks(umamba_record_block);
}

}  // namespace m3d
