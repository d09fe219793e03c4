#include "architectures/taming/taming_records.h"

#include <algorithm>
#include <map>

#include "architectures/blocks/unet_records.h"
#include "architectures/taming/taming_network.h"

namespace m3d {
namespace {

MambaTransShape shape_of(RecordConfig& config) {
  MambaTransShape shape;
  shape.channels = config.require<std::int64_t>("channels");
  shape.d_state = config.get("d_state", std::min<std::int64_t>(shape.channels, 256));
  shape.d_conv = config.get("d_conv", shape.d_conv), shape.expand = config.get("expand", shape.expand);
  return shape;
}

RecordBlock token_block(RecordConfig& config) {
  const auto block = std::make_shared<MambaTrans>(shape_of(config), scan_order("dhw"));
  return {block, [block](const std::vector<torch::Tensor>& inputs) {
            return std::vector<torch::Tensor>{block->forward(inputs[0], {1, 1, inputs[0].size(1)})};
          }};
}

RecordBlock layer_block(RecordConfig& config, MambaDirections directions) {
  const bool paper = config.get<std::string>("fourth_order", "released") == "paper";
  config.expect("fourth_order", {"released", "paper"});
  return one_input_block(std::make_shared<TamingLayer>(shape_of(config), directions, paper));
}

}  // namespace

std::optional<RecordForm> taming_record_form(const std::string& name, const Json& given) {
  const auto names = architecture_names();
  if (!name.starts_with("taming_") || std::find(names.begin(), names.end(), name) == names.end()) return std::nullopt;
  RecordConfig config(given);
  RecordForm form;
  form.architecture = name;
  form.input.channels = config.require<std::int64_t>("input_channels");
  form.input.classes = config.require<std::int64_t>("num_classes");
  Json options = Json::object();
  copy_unet_plan(config, options, /*dropout=*/true);
  for (const auto* key : {"n_conv_per_stage", "n_conv_per_stage_decoder", "bottleneck_channels"})
    copy_list(config, options, key);
  if (config.has("block")) options["block"] = class_name(config.require<std::string>("block"));
  config.ignore({"block"});
  for (const auto* key : {"stem_channels", "mixer", "d_state_cap", "fourth_order", "d_conv", "expand"})
    config.copy(key, options);
  config.require_all_used();
  form.options = options;
  return form;
}

std::optional<RecordBlock> taming_record_block(const std::string& name, const Json& given) {
  static const std::map<std::string, MambaDirections> layers = {{"taming_block_mambalayer_uni", MambaDirections::one},
                                                                {"taming_block_mambalayer_bi", MambaDirections::two},
                                                                {"taming_block_multi", MambaDirections::four_orders}};
  RecordConfig config(given);
  std::optional<RecordBlock> block;
  if (name == "taming_block_mambatrans") block = token_block(config);
  if (const auto found = layers.find(name); found != layers.end()) block = layer_block(config, found->second);
  if (block) config.require_all_used();
  return block;
}

}  // namespace m3d
