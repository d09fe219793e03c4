#include "architectures/transunet/transunet_records.h"

#include "architectures/record_config.h"

namespace m3d {

/// A config without a grid is that of a ViT without ResNet, as in the original. Records have one input channel.
std::optional<RecordForm> transunet_record_form(const std::string& name, const Json& given) {
  if (name != "transunet") return std::nullopt;
  RecordConfig config(given);
  RecordForm form;
  form.architecture = name;
  form.input.channels = config.get<std::int64_t>("in_channels", 1);
  form.input.classes = config.require<std::int64_t>("n_classes");
  if (const auto edge = config.get<std::int64_t>("img_size", 0); edge > 0) form.input.patch = {1, edge, edge};
  Json options = {{"hybrid", config.has("grid")}};
  const OptionSchema& schema = find_architecture(name).options;
  for (const auto& spec : schema.specs())
    if (spec.name != "hybrid") config.copy(spec.name, options);
  // Arguments and configuration entries that change nothing in the network's numbers.
  config.ignore({"vis", "zero_head", "classifier", "activation", "representation_size", "num_classes",
                 "pretrained_path", "resnet_pretrained_path"});
  config.require_all_used();
  form.options = options;
  return form;
}

}  // namespace m3d
