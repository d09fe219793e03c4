#include "architectures/nnunet/nnunet_records.h"

#include "architectures/blocks/unet_records.h"
#include "common/error.h"

namespace m3d {
namespace {

Json options_of(RecordConfig& config, bool residual) {
  Json options = Json::object();
  copy_unet_plan(config, options, /*dropout=*/true);
  for (const auto* key : {"n_conv_per_stage_decoder", residual ? "n_blocks_per_stage" : "n_conv_per_stage"})
    copy_list(config, options, key);
  copy_list(config, options, "bottleneck_channels");
  if (options.contains("bottleneck_channels") && !residual)
    throw UserError("config: bottleneck_channels belongs to the residual encoder");
  if (config.has("block")) options["block"] = class_name(config.require<std::string>("block"));
  config.ignore({"block"});
  for (const auto* key : {"nonlin_first", "pool", "stem_channels", "pool_type", "stochastic_depth_p",
                          "squeeze_excitation", "squeeze_excitation_reduction_ratio"})
    config.copy(key, options);
  return options;
}

}  // namespace

std::optional<RecordForm> nnunet_record_form(const std::string& name, const Json& given) {
  const bool residual = name == "nnunet_resenc";
  if (!residual && name != "nnunet_plain" && name != "nnunet_plain_2d") return std::nullopt;
  RecordConfig config(given);
  RecordForm form;
  form.architecture = name;
  form.input.channels = config.require<std::int64_t>("input_channels");
  form.input.classes = config.require<std::int64_t>("num_classes");
  const Json options = options_of(config, residual);
  config.require_all_used();
  form.options = options;
  return form;
}

}  // namespace m3d
