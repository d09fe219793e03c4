#include "architectures/cotr/cotr_network.h"
#include "architectures/family.h"
#include "architectures/record_config.h"
#include "architectures/record_forms.h"

namespace m3d {
namespace {

OptionSchema cotr_schema() {
  return OptionSchema(
      "option of cotr",
      {choice_option("norm_cfg", "IN", "normalisation after convolutions (GN has 16 groups)",
                     {"IN", "BN", "SyncBN", "GN"}),
       choice_option("activation_cfg", "LeakyReLU", "activation after convolutions", {"LeakyReLU", "ReLU"}),
       flag_option("weight_std", false, "weight standardisation of the convolutions with a normalisation"),
       flag_option("deep_supervision", true, "three coarser outputs in training"),
       integer_option("d_model", 384, "width of the transformer and of the two deepest levels", 4),
       integers_option("backbone_widths", {64, 192}, "widths of the two finer levels"),
       integer_option("dim_feedforward", 1536, "hidden width of the transformer's MLPs", 1),
       integer_option("nhead", 6, "attention heads; must divide d_model", 1),
       integer_option("num_encoder_layers", 6, "transformer layers", 0),
       integer_option("enc_n_points", 4, "points that a head reads of a level", 1),
       number_option("dropout", 0.1, "dropout of the transformer", 0, 1),
       choice_option("activation", "gelu", "activation of the transformer's MLPs", {"gelu", "relu"})});
}

std::optional<RecordForm> cotr_record_form(const std::string& name, const Json& given) {
  if (name != "cotr") return std::nullopt;
  RecordConfig config(given);
  RecordForm form{.architecture = name, .input = {}, .options = Json::object()};
  form.input.channels = config.get<std::int64_t>("in_channels", 1);
  form.input.classes = config.require<std::int64_t>("num_classes");
  // The constructor's own defaults differ from those that the authors train with, which are ours.
  form.options = {{"norm_cfg", "BN"}, {"activation_cfg", "ReLU"}, {"deep_supervision", false}};
  for (const auto& key : {"norm_cfg", "activation_cfg", "weight_std", "deep_supervision", "d_model", "dim_feedforward",
                          "nhead", "num_encoder_layers", "enc_n_points", "dropout", "activation"})
    config.copy(key, form.options);
  config.expect("num_feature_levels", {2});
  config.expect("backbone_depth", {9});
  config.ignore({"img_size"});  // the constructor takes it and does nothing with it
  config.require_all_used();
  return form;
}

}  // namespace

void register_cotr();
void register_cotr() {
  Architecture architecture;
  architecture.name = "cotr", architecture.title = "CoTr", architecture.family = "transformer";
  architecture.paper = "Xie et al., MICCAI 2021, arXiv:2103.03024";
  architecture.source = "YtongXie/CoTr: CoTr_package/CoTr/network_architecture/ResTranUnet.py";
  architecture.bibtex =
      "@inproceedings{xie2021cotr,\n"
      "  author = {Xie, Yutong and Zhang, Jianpeng and Shen, Chunhua and Xia, Yong},\n"
      "  title = {{CoTr}: Efficiently Bridging {CNN} and Transformer for {3D} Medical Image Segmentation},\n"
      "  booktitle = {Medical Image Computing and Computer Assisted Intervention -- MICCAI 2021},\n"
      "  publisher = {Springer},\n  year = {2021},\n  eprint = {2103.03024},\n  archiveprefix = {arXiv}\n}";
  architecture.options = cotr_schema();
  architecture.reduced = {{"d_model", 24}, {"backbone_widths", {8, 16}}, {"dim_feedforward", 48},
                          {"nhead", 2},    {"num_encoder_layers", 2},    {"dropout", 0}};
  // 48: three axes of sines and cosines, and sixteen groups of GN.
  architecture.widths = {{"d_model", 48}, {"backbone_widths", 16}, {"dim_feedforward"}};
  architecture.reduced_patch = {8, 16, 32};
  architecture.divisors = [](const Json&) { return kCotrDivisors; };
  architecture.outputs = [](const Json& options) { return options.at("deep_supervision") ? 4 : 1; };
  architecture.build = [](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_cotr(input, cotr_config(options), seed);
  };
  register_architecture(std::move(architecture));
  register_record_forms(cotr_record_form);
}

}  // namespace m3d
