#include "architectures/family.h"
#include "architectures/record_config.h"
#include "architectures/record_forms.h"
#include "architectures/transbts/transbts_network.h"

namespace m3d {
namespace {

OptionSchema transbts_schema() {
  return OptionSchema(
      "option of transbts",
      {integer_option("embedding_dim", 512, "width of the transformer; the original's is 512", 256),
       integer_option("num_heads", 8, "attention heads; must divide embedding_dim", 1),
       integer_option("num_layers", 4, "transformer layers; the decoder reads the fourth, later ones are dead weight",
                      4),
       integer_option("hidden_dim", 4096, "hidden width of the transformer's MLPs", 1),
       number_option("dropout_rate", 0.1, "dropout of positions, attention's output and MLPs", 0, 1),
       number_option("attn_dropout_rate", 0.1, "dropout within attention", 0, 1),
       number_option(
           "initial_dropout_rate", 0.2,
           "channel dropout after the first convolution, in training (the original's drops in evaluation too)", 0, 1),
       flag_option("conv_patch_representation", true, "tokens from a convolution; false cannot run in the original"),
       choice_option(
           "positional_encoding_type", "learned",
           "learned: a row a token; fixed: sines, by the sample's place in the batch as the original adds them",
           {"learned", "fixed"}),
       integer_option("patch_dim", 8, "edge of the cube of voxels that becomes a token; the encoder makes it 8", 8, 8),
       choice_option("output", "logits", "the original ends in a softmax", {"logits", "probabilities"}),
       flag_option("released_cost", false, "run the layers after the fourth, whose result nothing reads"),
       integer_option("linear_encoding_channels", 4,
                      "the original's num_channels, which only sizes a layer that it never uses", 1)});
}

std::optional<RecordForm> transbts_record_form(const std::string& name, const Json& given) {
  if (name != "transbts") return std::nullopt;
  RecordConfig config(given);
  RecordForm form{.architecture = name, .input = {}, .options = Json::object()};
  // The original takes num_channels and num_classes, and has four of both whatever they are.
  form.input.channels = 4, form.input.classes = 4;
  config.ignore({"num_classes"});
  if (config.has("img_dim")) form.input.patch.fill(config.require<std::int64_t>("img_dim"));
  for (const auto& key : {"embedding_dim", "num_heads", "num_layers", "hidden_dim", "dropout_rate", "attn_dropout_rate",
                          "conv_patch_representation", "positional_encoding_type", "patch_dim"})
    config.copy(key, form.options);
  config.copy("num_channels", form.options, "linear_encoding_channels");
  config.require_all_used();
  form.options["output"] = "probabilities", form.options["released_cost"] = true;
  return form;
}

}  // namespace

void register_transbts();
void register_transbts() {
  Architecture architecture;
  architecture.name = "transbts", architecture.title = "TransBTS", architecture.family = "transformer";
  architecture.paper = "Wang et al., MICCAI 2021, arXiv:2103.04430";
  architecture.source = "Wenxuan-1119/TransBTS: models/TransBTS/TransBTS_downsample8x_skipconnection.py";
  architecture.bibtex =
      "@inproceedings{wang2021transbts,\n"
      "  author = {Wang, Wenxuan and Chen, Chen and Ding, Meng and Yu, Hong and Zha, Sen and Li, Jiangyun},\n"
      "  title = {{TransBTS}: Multimodal Brain Tumor Segmentation Using Transformer},\n"
      "  booktitle = {Medical Image Computing and Computer Assisted Intervention -- MICCAI 2021},\n"
      "  publisher = {Springer},\n  year = {2021},\n  eprint = {2103.04430},\n  archiveprefix = {arXiv}\n}";
  architecture.options = transbts_schema();
  architecture.reduced = {{"embedding_dim", 256}, {"num_heads", 4},         {"hidden_dim", 64},
                          {"dropout_rate", 0},    {"attn_dropout_rate", 0}, {"initial_dropout_rate", 0}};
  architecture.widths = {{"embedding_dim", 256}, {"hidden_dim"}};
  architecture.reduced_patch = {8, 16, 16};
  architecture.unused_parameters = {"linear_encoding", "pre_head_ln"};
  architecture.divisors = [](const Json&) { return kTransBtsDivisors; };
  architecture.build = [](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_transbts(input, transbts_config(options), seed);
  };
  register_architecture(std::move(architecture));
  register_record_forms(transbts_record_form);
}

}  // namespace m3d
