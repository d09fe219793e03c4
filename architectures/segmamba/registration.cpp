#include "architectures/segmamba/segmamba_network.h"
#include "architectures/segmamba/segmamba_records.h"

namespace m3d {
namespace {

constexpr const char* kPaper = "Xing et al., SegMamba, arXiv:2401.13560 (2024)";
constexpr const char* kSource =
    "ge-xing/SegMamba: model_segmamba/segmamba.py (SegMamba), mamba/mamba_ssm/modules/mamba_simple.py (bimamba_type "
    "v3)";
constexpr const char* kBibtex =
    "@article{segmamba2024,\n  author = {Xing, Zhaohu and Ye, Tian and Yang, Yijun and Liu, Guang and Zhu, Lei},\n"
    "  title = {{SegMamba}: Long-range Sequential Modeling {Mamba} For {3D} Medical Image Segmentation},\n"
    "  journal = {arXiv preprint arXiv:2401.13560},\n  year = {2024}\n}";

std::vector<ScanOrderUse> first_stage_orders(const SegmambaConfig& config, const Grid& grid) {
  std::vector<ScanOrderUse> uses;
  if (!config.mixer) return uses;
  for (const auto& branch : tri_orientated_mamba(config.tom_of(0)).branches)
    uses.push_back({branch.order.name, grid, permutation_of(branch.order, grid, RandomOrder::fixed, 0)});
  return uses;
}

Architecture make_architecture(const std::string& name, const std::string& title, const char* mixer) {
  Architecture architecture;
  architecture.name = name, architecture.title = title;
  architecture.family = std::string(mixer) == "none" ? "control" : "mamba";
  architecture.paper = kPaper, architecture.source = kSource, architecture.bibtex = kBibtex;
  architecture.options = segmamba_schema("option of " + name).with_default("mixer", mixer);
  architecture.reduced = {{"depths", {1, 1, 1, 1}},
                          {"feat_size", {4, 8, 12, 16}},
                          {"hidden_size", 16},
                          {"num_slices", {4, 4, 2, 2}},
                          {"d_state", 2}};
  architecture.reduced_patch = {16, 16, 32};
  architecture.widths = {{"feat_size", 4}, {"hidden_size", 4}};
  architecture.divisors = [](const Json&) { return std::array<std::int64_t, 3>{16, 16, 16}; };
  architecture.build = [](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_segmamba(input, segmamba_config(options), seed);
  };
  architecture.scan_orders = [](const Json& options, const Grid& grid, std::uint64_t) {
    return first_stage_orders(segmamba_config(options), grid);
  };
  return architecture;
}

}  // namespace

void register_segmamba();
void register_segmamba() {
  register_architecture(make_architecture("segmamba", "SegMamba", "mamba"));
  register_architecture(make_architecture("segmamba_none", "SegMamba without mixer", "none"));
  register_record_forms(segmamba_record_form);
  register_record_blocks(segmamba_record_block);
}

}  // namespace m3d
