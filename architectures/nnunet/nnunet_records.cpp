#include "architectures/nnunet/nnunet_records.h"

#include "architectures/record_config.h"
#include "common/error.h"

namespace m3d {
namespace {

/// A class by its name, with or without its module: "torch.nn.Conv3d" is "Conv3d".
std::string class_name(const std::string& path) { return path.substr(path.rfind('.') + 1); }

/// Constructor arguments that the config holds in an object of their own; empty where there are none.
Json keywords(RecordConfig& config, const std::string& key) { return config.get<Json>(key, Json::object()); }

/// Of the original's Conv2d and Conv3d, InstanceNorm2d and InstanceNorm3d, …: the name without the dimension.
std::string without_dimension(const std::string& name) {
  return name.size() > 2 && (name.ends_with("2d") || name.ends_with("3d")) ? name.substr(0, name.size() - 2) : name;
}

/// PyTorch's defaults: BatchNorm has weights, InstanceNorm has none.
void set_norm(RecordConfig& config, Json& options) {
  const auto norm = without_dimension(class_name(config.get<std::string>("norm_op", "none")));
  options["norm_op"] = norm == "SyncBatchNorm" ? "BatchNorm" : norm;
  const Json given = keywords(config, "norm_op_kwargs");
  RecordConfig arguments(given);
  options["norm_affine"] = arguments.get("affine", norm != "InstanceNorm");
  options["norm_eps"] = arguments.get("eps", 1e-5);
  options["norm_momentum"] = arguments.get("momentum", 0.1);
  if (arguments.has("track_running_stats"))
    options["norm_track_running_stats"] = arguments.require<bool>("track_running_stats") ? "always" : "never";
  arguments.require_all_used();
}

void set_dropout(RecordConfig& config, Json& options) {
  options["dropout_op"] = class_name(config.get<std::string>("dropout_op", "none"));
  const Json given = keywords(config, "dropout_op_kwargs");
  RecordConfig arguments(given);
  options["dropout_p"] = arguments.get("p", 0.5);
  arguments.ignore({"inplace"});
  arguments.require_all_used();
}

void set_activation(RecordConfig& config, Json& options) {
  options["nonlin"] = class_name(config.get<std::string>("nonlin", "none"));
  const Json given = keywords(config, "nonlin_kwargs");
  RecordConfig arguments(given);
  options["nonlin_negative_slope"] = arguments.get("negative_slope", 0.01);
  arguments.ignore({"inplace"});
  arguments.expect("approximate", {"none"});
  arguments.expect("alpha", {1.0});
  arguments.require_all_used();
}

/// A number, a number a stage, or a list a stage, as a list of lists.
void copy_sizes(RecordConfig& config, Json& options, const char* key) {
  Json value = config.require<Json>(key);
  if (!value.is_array()) value = Json::array({value});
  for (auto& item : value)
    if (!item.is_array()) item = Json::array({item});
  options[key] = value;
}

void copy_list(RecordConfig& config, Json& options, const char* key) {
  if (!config.has(key)) return config.ignore({key});
  const Json value = config.require<Json>(key);
  options[key] = value.is_array() ? value : Json::array({value});
}

Json options_of(RecordConfig& config, bool residual) {
  Json options = {{"conv_op", class_name(config.require<std::string>("conv_op"))},
                  {"n_stages", config.require<std::int64_t>("n_stages")},
                  {"conv_bias", config.get("conv_bias", false)},
                  {"deep_supervision", config.get("deep_supervision", false)}};
  copy_sizes(config, options, "kernel_sizes");
  copy_sizes(config, options, "strides");
  for (const auto* key : {"features_per_stage", "n_conv_per_stage_decoder",
                          residual ? "n_blocks_per_stage" : "n_conv_per_stage", "bottleneck_channels"})
    copy_list(config, options, key);
  set_norm(config, options);
  set_dropout(config, options);
  set_activation(config, options);
  if (options.contains("bottleneck_channels") && !residual)
    throw UserError("config: bottleneck_channels belongs to the residual encoder");
  if (config.has("block")) options["block"] = class_name(config.require<std::string>("block"));
  for (const auto* key : {"nonlin_first", "pool", "stem_channels", "pool_type", "stochastic_depth_p",
                          "squeeze_excitation", "squeeze_excitation_reduction_ratio", "block"})
    if (!options.contains(key)) config.copy(key, options);
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
  form.options =
      find_architecture(name).options.resolve(options, [](const std::string& key) { return "config." + key; });
  return form;
}

}  // namespace m3d
