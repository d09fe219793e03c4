#include "architectures/segmamba/segmamba_records.h"

#include <map>

#include "architectures/blocks/monai_norm.h"
#include "architectures/segmamba/segmamba_network.h"

namespace m3d {
namespace {

ToMShape tom_of(RecordConfig& config, const char* dim, const char* slices) {
  ToMShape shape;
  shape.dim = config.require<std::int64_t>(dim);
  shape.slices = config.get<std::int64_t>(slices, 5);
  shape.d_state = config.get("d_state", shape.d_state), shape.d_conv = config.get("d_conv", shape.d_conv);
  shape.expand = config.get("expand", shape.expand);
  const Json rank = config.get<Json>("dt_rank", "auto");
  if (rank.is_number()) shape.dt_rank = rank;
  config.expect("bimamba_type", {"v3"});
  return shape;
}

RecordBlock tom_block(RecordConfig& config) {
  TokenMixerShape shape = tri_orientated_mamba(tom_of(config, "d_model", "nslices"));
  shape.bias = config.get("bias", false), shape.conv_bias = config.get("conv_bias", true);
  config.ignore({"dt_min", "dt_max", "dt_init", "dt_scale", "dt_init_floor", "use_fast_path", "layer_idx"});
  const auto mixer = std::make_shared<TokenMixer>(shape);
  return {mixer, [mixer](const std::vector<torch::Tensor>& inputs) {
            return std::vector<torch::Tensor>{mixer->forward(inputs[0], {1, 1, inputs[0].size(1)})};
          }};
}

/// The norm and the kind of block that a MONAI block's config names.
UnetrStyle unetr_style(RecordConfig& config, bool res_block) {
  Json options =
      OptionSchema("norm", monai_norm_options()).resolve(Json::object(), [](const std::string& key) { return key; });
  copy_monai_norm(config, options);
  config.expect("spatial_dims", {3});
  return {monai_norm(options), config.get("res_block", res_block)};
}

UnetrBlockShape unetr_shape(RecordConfig& config) {
  UnetrBlockShape shape{config.require<std::int64_t>("in_channels"), config.require<std::int64_t>("out_channels")};
  shape.kernel.fill(config.get<std::int64_t>("kernel_size", 3));
  shape.stride.fill(config.get<std::int64_t>("stride", 1));
  return shape;
}

RecordBlock unetr_up(RecordConfig& config) {
  Grid upsample{};
  upsample.fill(config.get<std::int64_t>("upsample_kernel_size", 2));
  const UnetrBlockShape shape = unetr_shape(config);
  const auto block = std::make_shared<UnetrUpBlock>(shape, upsample, unetr_style(config, true));
  return {block,
          [block](const std::vector<torch::Tensor>& inputs) {
            return std::vector<torch::Tensor>{block->forward(inputs[0], inputs[1])};
          },
          config.require<std::vector<std::int64_t>>("skip_shape")};
}

const std::map<std::string, std::function<RecordBlock(RecordConfig&)>>& blocks() {
  static const std::map<std::string, std::function<RecordBlock(RecordConfig&)>> all = {
      {"gsc",
       [](RecordConfig& config) {
         return one_input_block(std::make_shared<GatedConvolution>(config.require<std::int64_t>("channels"), false));
       }},
      {"tom", tom_block},
      {"mambalayer",
       [](RecordConfig& config) {
         return one_input_block(std::make_shared<ToMLayer>(tom_of(config, "dim", "num_slices")));
       }},
      {"mlp",
       [](RecordConfig& config) {
         return one_input_block(std::make_shared<ChannelMlp>(config.require<std::int64_t>("hidden_size"),
                                                             config.require<std::int64_t>("mlp_dim")));
       }},
      {"unetr_res",
       [](RecordConfig& config) {
         const UnetrBlockShape shape = unetr_shape(config);
         return one_input_block(std::make_shared<UnetrBasicBlock>(shape, unetr_style(config, true)));
       }},
      {"unetr_up", unetr_up}};
  return all;
}

}  // namespace

std::optional<RecordForm> segmamba_record_form(const std::string& name, const Json& given) {
  if (name != "segmamba") return std::nullopt;
  RecordConfig config(given);
  const OptionSchema& schema = find_architecture(name).options;
  RecordForm form;
  form.architecture = name;
  form.input.channels = config.get<std::int64_t>("in_chans", 1);
  form.input.classes = config.get<std::int64_t>("out_chans", 13);
  Json options = Json::object();
  copy_monai_norm(config, options);
  for (const auto& spec : schema.specs())
    if (spec.name != "norm_name") config.copy(spec.name, options);
  config.expect("bimamba_type", {"v3"});
  config.expect("spatial_dims", {3});
  // Arguments of the original's constructor that it never looks at.
  config.ignore({"drop_path_rate", "layer_scale_init_value", "conv_block"});
  config.require_all_used();
  form.options = options;
  return form;
}

std::optional<RecordBlock> segmamba_record_block(const std::string& name, const Json& given) {
  const std::string prefix = "segmamba_block_";
  if (!name.starts_with(prefix)) return std::nullopt;
  const auto found = blocks().find(name.substr(prefix.size()));
  if (found == blocks().end()) return std::nullopt;
  RecordConfig config(given);
  RecordBlock block = found->second(config);
  config.require_all_used();
  return block;
}

}  // namespace m3d
