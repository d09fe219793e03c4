#include "architectures/family.h"
#include "architectures/missformer/missformer_network.h"
#include "architectures/record_config.h"
#include "architectures/record_forms.h"
#include "common/error.h"

namespace m3d {
namespace {

OptionSchema missformer_schema() {
  return OptionSchema(
      "option of missformer",
      {choice_option(
           "token_mlp_mode", "mix_skip",
           "MLPs of encoder and decoder: with a depthwise convolution and a skip around it, without the skip, "
           "or plain (which the original names in its code and cannot run)",
           {"mix_skip", "mix", "mlp"}),
       flag_option("released_cost", false,
                   "compute the first layer of the MLPs with a skip twice, as the released code does: same result"),
       integer_option("base_width", 64, "width of the first stage, even; the original's is 64", 2)});
}

/// Any mode that is neither of the two is the plain MLP in the original.
std::string mode_of(const std::string& mode) {
  if (mode == "mix_skip" || mode == "mix") return mode;
  for (const std::string plain : {"mlp", "normal", "skip", "ffn", "mlp_ffn"})
    if (mode == plain) return "mlp";
  throw UserError("config: token_mlp_mode is '" + mode + "', known: mix_skip, mix, mlp");
}

std::optional<RecordForm> missformer_record_form(const std::string& name, const Json& given) {
  if (name != "missformer") return std::nullopt;
  RecordConfig config(given);
  RecordForm form{.architecture = name, .input = {}, .options = Json::object()};
  form.input.channels = config.get<std::int64_t>("in_channels", 1);
  form.input.classes = config.get<std::int64_t>("num_classes", 9);
  form.options["token_mlp_mode"] = mode_of(config.get<std::string>("token_mlp_mode", "mix_skip"));
  form.options["released_cost"] = true;
  config.ignore({"encoder_pretrained"});  // the original takes it and does nothing with it
  config.require_all_used();
  return form;
}

}  // namespace

void register_missformer();
void register_missformer() {
  Architecture architecture;
  architecture.name = "missformer", architecture.title = "MISSFormer", architecture.family = "transformer";
  architecture.paper = "Huang et al., IEEE TMI (2023), arXiv:2109.07162";
  architecture.source = "ZhifangDeng/MISSFormer: networks/MISSFormer.py, segformer.py";
  architecture.bibtex =
      "@article{huang2023missformer,\n"
      "  author = {Huang, Xiaohong and Deng, Zhifang and Li, Dandan and Yuan, Xueguang and Fu, Ying},\n"
      "  title = {{MISSFormer}: An Effective Transformer for {2D} Medical Image Segmentation},\n"
      "  journal = {IEEE Transactions on Medical Imaging},\n"
      "  year = {2023},\n  doi = {10.1109/TMI.2022.3230943}\n}";
  architecture.options = missformer_schema();
  architecture.reduced = {{"base_width", 8}};
  architecture.widths = {{"base_width", 2}};
  architecture.reduced_patch = {2, 32, 64};
  architecture.unused_parameters = {
      "decoder_3.concat_linear", "decoder_3.layer_former", "mlp.norm2",     "mlp.norm3",
      "mixffn1.norm2",           "mixffn1.norm3",          "mixffn2.norm2", "mixffn2.norm3",
      "mixffn3.norm2",           "mixffn3.norm3",          "mixffn4.norm2", "mixffn4.norm3"};
  architecture.divisors = [](const Json&) { return kMissformerDivisors; };
  architecture.build = [](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    return build_missformer(input, missformer_config(options), seed);
  };
  register_architecture(std::move(architecture));
  register_record_forms(missformer_record_form);
}

}  // namespace m3d
