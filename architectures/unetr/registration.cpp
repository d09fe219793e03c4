#include "architectures/blocks/monai_norm.h"
#include "architectures/family.h"
#include "architectures/record_config.h"
#include "architectures/record_forms.h"
#include "architectures/unetr/unetr_network.h"

namespace m3d {
namespace {

OptionSchema unetr_schema() {
  std::vector<OptionSpec> specs{
      integer_option("feature_size", 16, "width of the finest decoder stage", 1),
      integer_option("hidden_size", 768, "width of the transformer", 1),
      integer_option("mlp_dim", 3072, "hidden width of the transformer's MLPs; 0: the transformer's width", 0),
      integer_option("num_heads", 12, "attention heads; must divide hidden_size", 1),
      choice_option("proj_type", "conv", "patch embedding: convolution, or linear layer", {"conv", "perceptron"}),
      flag_option("conv_block", true, "convolutions after the transposed ones that up-sample the skips"),
      flag_option("res_block", true, "residual connections in the convolutional blocks"),
      number_option("dropout_rate", 0, "dropout of the transformer", 0, 1),
      integer_option("spatial_dims", 3, "2: every axial slice on its own", 2, 3),
      flag_option("qkv_bias", false, "bias of queries, keys and values"),
      flag_option("save_attn", false, "accepted as the original's; attention maps are not kept")};
  for (const auto& spec : monai_norm_options()) specs.push_back(spec);
  return OptionSchema("option of unetr", std::move(specs));
}

/// img_size is one edge, or an edge an axis.
std::array<std::int64_t, 3> patch_of(const Json& size, std::int64_t dimensions) {
  using Edges = std::vector<std::int64_t>;
  const Edges edges = size.is_array() ? size.get<Edges>() : Edges(static_cast<std::size_t>(dimensions), size);
  return {edges.size() > 2 ? edges[0] : 1, edges.at(edges.size() - 2), edges.back()};
}

std::optional<RecordForm> unetr_record_form(const std::string& name, const Json& given) {
  if (name != "unetr") return std::nullopt;
  RecordConfig config(given);
  RecordForm form{.architecture = "unetr", .input = {}, .options = Json::object()};
  form.input.channels = config.require<std::int64_t>("in_channels");
  form.input.classes = config.require<std::int64_t>("out_channels");
  const Json size = config.get<Json>("img_size", nullptr);
  if (!size.is_null()) form.input.patch = patch_of(size, config.get<std::int64_t>("spatial_dims", 3));
  for (const auto& key : {"feature_size", "hidden_size", "mlp_dim", "num_heads", "proj_type", "conv_block", "res_block",
                          "dropout_rate", "spatial_dims", "qkv_bias", "save_attn"})
    config.copy(key, form.options);
  copy_monai_norm(config, form.options);
  config.require_all_used();
  return form;
}

}  // namespace

void register_unetr();
void register_unetr() {
  Architecture architecture;
  architecture.name = "unetr", architecture.title = "UNETR", architecture.family = "transformer";
  architecture.paper = "Hatamizadeh et al., WACV 2022, arXiv:2103.10504";
  architecture.source = "Project-MONAI/MONAI 1.6.1: monai/networks/nets/unetr.py";
  architecture.bibtex =
      "@inproceedings{hatamizadeh2022unetr,\n"
      "  author = {Hatamizadeh, Ali and Tang, Yucheng and Nath, Vishwesh and Yang, Dong and Myronenko, Andriy and\n"
      "            Landman, Bennett and Roth, Holger R. and Xu, Daguang},\n"
      "  title = {{UNETR}: Transformers for {3D} Medical Image Segmentation},\n"
      "  booktitle = {Proceedings of the IEEE/CVF Winter Conference on Applications of Computer Vision (WACV)},\n"
      "  year = {2022},\n  eprint = {2103.10504},\n  archiveprefix = {arXiv}\n}";
  architecture.options = unetr_schema();
  architecture.reduced = {{"feature_size", 4}, {"hidden_size", 24}, {"mlp_dim", 48}, {"num_heads", 2}};
  architecture.widths = {{"feature_size"}, {"hidden_size", 12}, {"mlp_dim"}};
  architecture.reduced_patch = {16, 32, 48};
  architecture.unused_parameters = {"norm_cross_attn"};
  architecture.divisors = [](const Json& options) { return unetr_divisors(options.at("spatial_dims").get<int>()); };
  architecture.build = [](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_unetr(input, unetr_config(options), seed);
  };
  register_architecture(std::move(architecture));
  register_record_forms(unetr_record_form);
}

}  // namespace m3d
