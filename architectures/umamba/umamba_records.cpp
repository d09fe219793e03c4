#include "architectures/umamba/umamba_records.h"

#include "architectures/blocks/unet_records.h"
#include "architectures/umamba/umamba_network.h"

namespace m3d {
namespace {

RecordBlock layer_block(RecordConfig& config, bool channel_token) {
  MambaLayerShape shape;
  shape.dim = config.require<std::int64_t>("dim");
  shape.d_state = config.get("d_state", shape.d_state), shape.d_conv = config.get("d_conv", shape.d_conv);
  shape.expand = config.get("expand", shape.expand);
  shape.channel_token = config.get("channel_token", channel_token);
  return one_input_block(std::make_shared<MambaLayer>(shape));
}

/// One number for all axes, or a number an axis.
Triple triple(RecordConfig& config, const std::string& key, std::int64_t otherwise) {
  const Json value = config.get<Json>(key, otherwise);
  if (value.is_array()) return value.get<Triple>();
  Triple all{};
  all.fill(value);
  return all;
}

RecordBlock unit_block(RecordConfig& config) {
  const auto in = config.require<std::int64_t>("input_channels"), out = config.require<std::int64_t>("output_channels");
  const Triple kernel = triple(config, "kernel_size", 3), stride = triple(config, "stride", 1);
  config.expect("padding", {Json{kernel[0] / 2, kernel[1] / 2, kernel[2] / 2}, kernel[0] / 2});
  return one_input_block(
      std::make_shared<ProjectedUnit>(in, out, kernel, stride, UnitStyle{}, config.get("use_1x1conv", false)));
}

}  // namespace

std::optional<RecordForm> umamba_record_form(const std::string& name, const Json& given) {
  const bool flat = name.ends_with("_2d");
  const std::string architecture = flat ? name.substr(0, name.size() - 3) : name;
  if (architecture != "umambabot" && architecture != "umambaenc") return std::nullopt;
  RecordConfig config(given);
  RecordForm form;
  form.architecture = architecture;
  form.input.channels = config.require<std::int64_t>("input_channels");
  form.input.classes = config.require<std::int64_t>("num_classes");
  auto size = config.get<std::vector<std::int64_t>>("input_size", {0, 0, 0});
  if (size.size() == 2) size.insert(size.begin(), 1);  // of slices
  form.input.patch = {size.at(0), size.at(1), size.at(2)};
  Json options = Json::object();
  copy_unet_plan(config, options, /*dropout=*/false);
  for (const auto* key : {"n_conv_per_stage", "n_conv_per_stage_decoder"}) copy_list(config, options, key);
  if (flat) options["form"] = "2d";
  for (const auto* key : {"form", "mixer", "d_state", "d_conv", "expand"}) config.copy(key, options);
  config.ignore({"stem_channels"});  // of the constructor, which takes the first stage's
  config.require_all_used();
  form.options = options;
  return form;
}

std::optional<RecordBlock> umamba_record_block(const std::string& name, const Json& given) {
  RecordConfig config(given);
  std::optional<RecordBlock> block;
  if (name == "umamba_block_mambalayer_patch") block = layer_block(config, false);
  if (name == "umamba_block_mambalayer_channel") block = layer_block(config, true);
  if (name == "umamba_block_resblock") block = unit_block(config);
  if (block) config.require_all_used();
  return block;
}

}  // namespace m3d
