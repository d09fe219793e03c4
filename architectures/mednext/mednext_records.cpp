#include "architectures/mednext/mednext_records.h"

#include "architectures/record_config.h"

namespace m3d {
namespace {

Json list_or_one(RecordConfig& config, const std::string& key, std::int64_t otherwise) {
  const Json value = config.get<Json>(key, otherwise);
  return value.is_array() ? value : Json::array({value});
}

}  // namespace

/// Arguments that the config leaves out have the original constructor's defaults, not ours.
std::optional<RecordForm> mednext_record_form(const std::string& name, const Json& given) {
  if (name != "mednext_k3" && name != "mednext_k5") return std::nullopt;
  RecordConfig config(given);
  RecordForm form;
  form.architecture = name;
  form.input.channels = config.require<std::int64_t>("in_channels");
  form.input.classes = config.require<std::int64_t>("n_classes");
  const bool no_kernel = given.contains("kernel_size") && given.at("kernel_size").is_null();
  const Json options = {{"n_channels", config.require<std::int64_t>("n_channels")},
                        {"exp_r", list_or_one(config, "exp_r", 4)},
                        {"block_counts", list_or_one(config, "block_counts", 2)},
                        {"kernel_size", config.get<std::int64_t>("kernel_size", no_kernel ? 0 : 7)},
                        {"enc_kernel_size", config.get<std::int64_t>("enc_kernel_size", 0)},
                        {"dec_kernel_size", config.get<std::int64_t>("dec_kernel_size", 0)},
                        {"do_res", config.get("do_res", false)},
                        {"do_res_up_down", config.get("do_res_up_down", false)},
                        {"norm_type", config.get<std::string>("norm_type", "group")},
                        {"dim", config.get<std::string>("dim", "3d")},
                        {"grn", config.get("grn", false)},
                        {"checkpoint_style", config.get<std::string>("checkpoint_style", "none")},
                        {"deep_supervision", config.get("deep_supervision", false)}};
  config.require_all_used();
  form.options = options;
  return form;
}

}  // namespace m3d
