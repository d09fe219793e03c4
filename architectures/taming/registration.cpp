#include "architectures/blocks/unet_plan.h"
#include "architectures/record_forms.h"
#include "architectures/taming/taming_network.h"
#include "architectures/taming/taming_records.h"

namespace m3d {
namespace {

constexpr const char* kPaper = "Lumetti et al., Taming Mambas, arXiv:2410.15496 (2024)";
constexpr const char* kBibtex =
    "@article{tamingmambas2024,\n  author = {Lumetti, Luca and Pipoli, Vittorio and Marchesini, Kevin and Ficarra, "
    "Elisa "
    "and Grana, Costantino and Bolelli, Federico},\n"
    "  title = {Taming {Mambas} for Voxel Level {3D} Medical Image Segmentation},\n"
    "  journal = {arXiv preprint arXiv:2410.15496},\n  year = {2024}\n}";

std::vector<ScanOrderUse> stage_orders(const TamingForm& form, const Json& options, const Grid& grid) {
  std::vector<ScanOrderUse> uses;
  if (options.at("mixer") == "none") return uses;
  for (const auto& order : taming_orders(form.directions, options.at("fourth_order") == "paper"))
    uses.push_back({order.name, grid, permutation_of(order, grid, RandomOrder::fixed, 0)});
  return uses;
}

Architecture make_architecture(const TamingForm& form) {
  Architecture architecture;
  architecture.name = form.name, architecture.title = form.title;
  architecture.family = form.mixer ? "mamba" : "control";
  architecture.paper = kPaper, architecture.bibtex = kBibtex;
  architecture.source = "LucaLumetti/TamingMambas: tamingmambas/nnunetv2/nets/" + std::string(form.file);
  architecture.options = taming_schema(form);
  architecture.reduced = {{"n_stages", 3},
                          {"features_per_stage", {4, 8, 12}},
                          {"n_conv_per_stage", {1}},
                          {"n_conv_per_stage_decoder", {1}},
                          {"d_state_cap", 4}};
  architecture.reduced_patch = {8, 16, 16};
  architecture.widths = unet_widths(), architecture.state_aliases = unet_state_aliases();
  architecture.divisors = unet_divisors;
  architecture.outputs = unet_outputs;
  architecture.build = [form](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_taming(input, taming_config(options, form, input.patch), seed);
  };
  architecture.scan_orders = [form](const Json& options, const Grid& grid, std::uint64_t) {
    return stage_orders(form, options, grid);
  };
  return architecture;
}

}  // namespace

void register_taming();
void register_taming() {
  using enum MambaDirections;
  const std::vector<TamingForm> forms = {
      {"taming_segmamba", "SegMamba (Taming Mambas)", "SegMamba.py (SegMamba)", one, false, 256},
      {"taming_segmambaskip", "SegMambaSkip", "SegMambaSkip.py (SegMambaSkip)", two, true, 256},
      {"taming_bisegmamba", "BiSegMamba", "PanSegMamba.py (PanSegMamba)", two, false, 256},
      {"taming_multisegmamba", "MultiSegMamba", "MultiSegMamba.py (MultiSegMamba)", four_orders, false, 64},
      {"taming_segmamba_none", "SegMamba (Taming Mambas) without mixer", "SegMamba.py (SegMamba)", one, false, 256,
       false}};
  for (const auto& form : forms) register_architecture(make_architecture(form));
  register_record_forms(taming_record_form);
  register_record_blocks(taming_record_block);
}

}  // namespace m3d
