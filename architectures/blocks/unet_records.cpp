#include "architectures/blocks/unet_records.h"

namespace m3d {
namespace {

/// Arguments of a layer: those of the object `key`, and those that stand in the config under other names.
Json arguments_of(RecordConfig& config, const std::string& key,
                  const std::vector<std::pair<std::string, std::string>>& beside) {
  Json arguments = config.get<Json>(key, Json::object());
  for (const auto& [name, argument] : beside)
    if (const Json value = config.get<Json>(name, nullptr); !value.is_null()) arguments[argument] = value;
  return arguments;
}

/// Of InstanceNorm2d and InstanceNorm3d, …: the name without the dimension.
std::string without_dimension(const std::string& name) {
  return name.size() > 2 && (name.ends_with("2d") || name.ends_with("3d")) ? name.substr(0, name.size() - 2) : name;
}

/// PyTorch's defaults: BatchNorm has weights, InstanceNorm has none.
void copy_norm(RecordConfig& config, Json& options) {
  const auto norm = without_dimension(class_name(config.get<std::string>("norm_op", "none")));
  options["norm_op"] = norm == "SyncBatchNorm" ? "BatchNorm" : norm;
  const Json given = arguments_of(config, "norm_op_kwargs",
                                  {{"norm_eps", "eps"},
                                   {"norm_affine", "affine"},
                                   {"norm_momentum", "momentum"},
                                   {"norm_track_running_stats", "track_running_stats"}});
  RecordConfig arguments(given);
  options["norm_affine"] = arguments.get("affine", norm != "InstanceNorm");
  options["norm_eps"] = arguments.get("eps", 1e-5);
  options["norm_momentum"] = arguments.get("momentum", 0.1);
  if (arguments.has("track_running_stats"))
    options["norm_track_running_stats"] = arguments.require<bool>("track_running_stats") ? "always" : "never";
  arguments.ignore({"track_running_stats"});
  arguments.require_all_used();
}

/// `dropout` is a rate, a class, or null; or dropout_op is a class.
void copy_dropout(RecordConfig& config, Json& options) {
  const Json dropout = config.get<Json>("dropout", config.get<Json>("dropout_op", nullptr));
  const Json given = arguments_of(config, "dropout_op_kwargs", {{"dropout_p", "p"}});
  RecordConfig arguments(given);
  options["dropout_op"] = dropout.is_null() ? "none" : dropout.is_number() ? "Dropout3d" : class_name(dropout);
  options["dropout_p"] = arguments.get("p", dropout.is_number() ? dropout.get<double>() : 0.5);
  arguments.ignore({"inplace"});
  arguments.require_all_used();
}

void copy_activation(RecordConfig& config, Json& options) {
  options["nonlin"] = class_name(config.get<std::string>("nonlin", "none"));
  const Json given = arguments_of(config, "nonlin_kwargs",
                                  {{"negative_slope", "negative_slope"}, {"nonlin_negative_slope", "negative_slope"}});
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

}  // namespace

std::string class_name(const std::string& path) { return path.substr(path.rfind('.') + 1); }

void copy_list(RecordConfig& config, Json& options, const std::string& key) {
  const Json value = config.get<Json>(key, nullptr);
  if (!value.is_null()) options[key] = value.is_array() ? value : Json::array({value});
}

void copy_unet_plan(RecordConfig& config, Json& options, bool dropout) {
  options["conv_op"] = class_name(config.require<std::string>("conv_op"));
  options["n_stages"] = config.require<std::int64_t>("n_stages");
  options["conv_bias"] = config.get("conv_bias", false);
  options["deep_supervision"] = config.get("deep_supervision", false);
  copy_sizes(config, options, "kernel_sizes");
  copy_sizes(config, options, "strides");
  copy_list(config, options, "features_per_stage");
  copy_norm(config, options);
  copy_activation(config, options);
  Json unused = Json::object();
  copy_dropout(config, dropout ? options : unused);
}

}  // namespace m3d
