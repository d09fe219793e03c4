#include "architectures/levit_unet/levit_records.h"

#include "architectures/levit_unet/levit_options.h"
#include "architectures/record_config.h"
#include "common/error.h"

namespace m3d {
namespace {

/// ["Subsample", key_dim, …] each; an empty last one, which the original appends, says that nothing follows.
Json downsamplings(const Json& given) {
  Json all = Json::array();
  for (const auto& item : given) {
    if (item.size() == 1) continue;
    if (item.empty() || item[0] != "Subsample")
      throw UserError(
          "config: down_ops: only [\"Subsample\", key_dim, num_heads, attn_ratio, mlp_ratio, stride] is "
          "known, got " +
          item.dump());
    all.push_back(Json(item.begin() + 1, item.end()));
  }
  return all;
}

}  // namespace

std::optional<RecordForm> levit_record_form(const std::string& name, const Json& given) {
  constexpr const char* kArchitecture = "levit_unet_384";
  Json options = levit_size(name);
  if (options.is_null() && name != kArchitecture) return std::nullopt;
  if (options.is_null()) options = Json::object();
  RecordConfig config(given);
  RecordForm form;
  form.architecture = kArchitecture;
  form.input.channels = config.get<std::int64_t>("in_channels", 1);
  form.input.classes = config.require<std::int64_t>("num_classes");
  if (const auto edge = config.get<std::int64_t>("img_size", 0); edge > 0) form.input.patch = {1, edge, edge};
  config.expect("patch_size", {16});
  for (const auto* key : {"attention_activation", "mlp_activation"}) config.copy("activation", options, key);
  if (config.has("down_ops")) options["down_ops"] = downsamplings(config.require<Json>("down_ops"));
  const OptionSchema& schema = find_architecture(kArchitecture).options;
  for (const auto& spec : schema.specs())
    if (spec.name != "down_ops") config.copy(spec.name, options);
  // Arguments that the original never reads.
  config.ignore({"distillation", "hybrid_backbone", "in_chans", "down_ops"});
  config.require_all_used();
  form.options = options;
  return form;
}

}  // namespace m3d
