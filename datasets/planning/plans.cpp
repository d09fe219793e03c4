#include "datasets/planning/plans.h"

#include <algorithm>

#include "common/error.h"
#include "common/hash.h"
#include "common/nearest_name.h"
#include "datasets/catalogue/dataset_json.h"

namespace m3d {
namespace {

constexpr const char* kResamplingFunction = "resample_data_or_seg_to_shape";
constexpr const char* kPreprocessor = "DefaultPreprocessor";

struct NamedNormalisation {
  const char* name;
  Normalisation scheme;
};
constexpr NamedNormalisation kNormalisations[] = {{"CTNormalization", Normalisation::ct},
                                                  {"ZScoreNormalization", Normalisation::z_score},
                                                  {"NoNormalization", Normalisation::none},
                                                  {"RescaleTo01Normalization", Normalisation::rescale_to_0_1},
                                                  {"RGBTo01Normalization", Normalisation::rgb_to_0_1}};

/// Reads members of one object; messages name the file and the key.
class Reader {
 public:
  Reader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  [[noreturn]] void fail(const std::string& key, const std::string& problem) const {
    throw UserError(where_ + ": '" + key + "' " + problem);
  }

  const Json& at(const std::string& key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) fail(key, "is missing; is this a plans file of nnU-Net v2?");
    return *found;
  }

  template <class T>
  T get(const std::string& key) const {
    const Json& value = at(key);
    try {
      return value.get<T>();
    } catch (const nlohmann::json::exception&) {
      fail(key, "has the wrong type: " + value.dump());
    }
  }

  /// Two or three numbers above 0.
  template <class T>
  std::vector<T> positive(const std::string& key) const {
    const auto values = get<std::vector<T>>(key);
    if ((values.size() != 2 && values.size() != 3) || *std::min_element(values.begin(), values.end()) <= T{0})
      fail(key, "must be two or three numbers above 0, not " + at(key).dump());
    return values;
  }

  ResamplingRule resampling(const std::string& function_key) const {
    if (get<std::string>(function_key) != kResamplingFunction)
      fail(function_key, "is " + at(function_key).dump() + "; this program has \"" + kResamplingFunction + "\" only");
    const std::string key = function_key + "_kwargs";
    const Json& arguments = at(key);
    const Reader reader(arguments, where_ + ", " + key);
    ResamplingRule rule{reader.get<int>("order"), reader.get<int>("order_z"), {}};
    for (const int order : {rule.order, rule.order_z})
      if (order != 0 && order != 1 && order != 3) fail(key, "has order " + std::to_string(order) + "; known: 0, 1, 3");
    if (const auto force = arguments.find("force_separate_z"); force != arguments.end() && !force->is_null())
      rule.force_separate_z = reader.get<bool>("force_separate_z");
    return rule;
  }

  std::vector<Normalisation> normalisations() const {
    std::vector<Normalisation> schemes;
    for (const auto& name : get<std::vector<std::string>>("normalization_schemes")) {
      const auto* found = std::find_if(std::begin(kNormalisations), std::end(kNormalisations),
                                       [&](const auto& known) { return name == known.name; });
      if (found == std::end(kNormalisations))
        fail("normalization_schemes", "names '" + name + "'; known: CTNormalization, ZScoreNormalization, " +
                                          "NoNormalization, RescaleTo01Normalization, RGBTo01Normalization");
      schemes.push_back(found->scheme);
    }
    return schemes;
  }

 private:
  const Json& json_;
  std::string where_;
};

AxisOrder parse_transpose(const Reader& reader) {
  const auto order = reader.get<std::vector<int>>("transpose_forward");
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  if (sorted != std::vector<int>{0, 1, 2})
    reader.fail("transpose_forward", "must hold 0, 1 and 2, each once; it is " + Json(order).dump());
  return {order[0], order[1], order[2]};
}

/// Plans of nnU-Net before 2.3 describe the U-Net by keys of their own.
void modernise(Json& configuration, const std::string& where) {
  if (configuration.contains("architecture") || !configuration.contains("UNet_class_name")) return;
  const Reader reader(configuration, where);
  const bool plain = reader.get<std::string>("UNet_class_name") == "PlainConvUNet";
  const auto blocks = reader.get<std::vector<std::int64_t>>("n_conv_per_stage_encoder");
  std::vector<std::int64_t> features;
  for (std::size_t stage = 0; stage < blocks.size(); ++stage)
    features.push_back(std::min(reader.get<std::int64_t>("UNet_base_num_features") << stage,
                                reader.get<std::int64_t>("unet_max_num_features")));
  const std::string axes = std::to_string(reader.get<std::vector<std::int64_t>>("patch_size").size()) + "d";
  configuration["architecture"] =
      unet_architecture_json(plain, axes,
                             {{"n_stages", blocks.size()},
                              {"features_per_stage", features},
                              {"kernel_sizes", reader.at("conv_kernel_sizes")},
                              {"strides", reader.at("pool_op_kernel_sizes")},
                              {plain ? "n_conv_per_stage" : "n_blocks_per_stage", blocks},
                              {"n_conv_per_stage_decoder", reader.at("n_conv_per_stage_decoder")}});
}

}  // namespace

Json unet_architecture_json(bool plain, const std::string& axes, const Json& sizes) {
  Json arguments = sizes;
  arguments["conv_op"] = "torch.nn.modules.conv.Conv" + axes;
  arguments["conv_bias"] = true;
  arguments["norm_op"] = "torch.nn.modules.instancenorm.InstanceNorm" + axes;
  arguments["norm_op_kwargs"] = {{"eps", 1e-5}, {"affine", true}};
  arguments["dropout_op"] = nullptr;
  arguments["dropout_op_kwargs"] = nullptr;
  arguments["nonlin"] = "torch.nn.LeakyReLU";
  arguments["nonlin_kwargs"] = {{"inplace", true}};
  return {{"network_class_name", std::string("dynamic_network_architectures.architectures.unet.") +
                                     (plain ? "PlainConvUNet" : "ResidualEncoderUNet")},
          {"arch_kwargs", arguments},
          {"_kw_requires_import", {"conv_op", "norm_op", "dropout_op", "nonlin"}}};
}

Plans::Plans(Json json, std::string where) : json_(std::move(json)), where_(std::move(where)) {
  if (!json_.is_object()) throw UserError(where_ + ": not a plans file: expected a JSON object");
  const Reader reader(json_, where_);
  name_ = reader.get<std::string>("plans_name");
  image_reader_ = reader.get<std::string>("image_reader_writer");
  transpose_ = parse_transpose(reader);
  if (!reader.at("configurations").is_object()) reader.fail("configurations", "is not an object");
  const char* key = json_.contains("foreground_intensity_properties_by_modality")
                        ? "foreground_intensity_properties_by_modality"
                        : "foreground_intensity_properties_per_channel";
  try {
    intensities_ = parse_intensities(reader.at(key));
  } catch (const nlohmann::json::exception& error) {
    reader.fail(key, std::string("is malformed: ") + error.what());
  }
}

Plans Plans::read(const std::filesystem::path& file) { return {read_json(file), file.string()}; }

std::string Plans::hash() const { return content_hash(json_.dump()); }

std::vector<std::string> Plans::configuration_names() const {
  std::vector<std::string> names;
  for (const auto& [name, configuration] : json_.at("configurations").items()) names.push_back(name);
  return names;
}

const Json& Plans::configuration_json(const std::string& name) const {
  const Json& all = json_.at("configurations");
  const auto found = all.find(name);
  if (found == all.end())
    throw UserError(where_ + ": " + unknown_name_message("configuration", name, configuration_names()));
  if (!found->is_object()) throw UserError(where_ + ": configuration '" + name + "' is not an object");
  return *found;
}

Json Plans::resolved(const std::string& name, std::vector<std::string>& visited) const {
  if (std::find(visited.begin(), visited.end(), name) != visited.end())
    throw UserError(where_ + ": configuration '" + name + "' inherits from itself");
  visited.push_back(name);
  const Json& own = configuration_json(name);
  if (!own.contains("inherits_from")) return own;
  if (!own.at("inherits_from").is_string())
    throw UserError(where_ + ": configuration '" + name + "': 'inherits_from' is not a name");
  Json all = resolved(own.at("inherits_from").get<std::string>(), visited);
  for (const auto& [key, value] : own.items()) all[key] = value;
  return all;
}

PlanConfiguration Plans::configuration(const std::string& name) const {
  std::vector<std::string> visited;
  Json json = resolved(name, visited);
  const std::string where = where_ + ", configuration " + name;
  modernise(json, where);
  const Reader reader(json, where);
  if (reader.get<std::string>("preprocessor_name") != kPreprocessor)
    reader.fail("preprocessor_name",
                "is " + json.at("preprocessor_name").dump() + "; this program has \"" + kPreprocessor + "\" only");
  PlanConfiguration result;
  result.name = name;
  result.data_identifier = reader.get<std::string>("data_identifier");
  result.patch_size = reader.positive<std::int64_t>("patch_size");
  result.batch_size = reader.get<std::int64_t>("batch_size");
  if (result.batch_size < 1) reader.fail("batch_size", "must be at least 1");
  result.spacing = reader.positive<double>("spacing");
  result.normalisations = reader.normalisations();
  result.use_mask_for_norm = reader.get<std::vector<bool>>("use_mask_for_norm");
  if (result.normalisations.size() != intensities_.size() || result.use_mask_for_norm.size() != intensities_.size())
    reader.fail("normalization_schemes", "and 'use_mask_for_norm' need one entry for each of the " +
                                             std::to_string(intensities_.size()) + " channels");
  result.image = reader.resampling("resampling_fn_data");
  result.labels = reader.resampling("resampling_fn_seg");
  if (result.labels.order == 3 || result.labels.order_z != 0)
    reader.fail("resampling_fn_seg_kwargs", "label maps are resampled with order 0 or 1, and order_z 0");
  result.logits = reader.resampling("resampling_fn_probabilities");
  if (json.contains("batch_dice")) result.batch_dice = reader.get<bool>("batch_dice");
  if (json.contains("previous_stage")) result.previous_stage = reader.get<std::string>("previous_stage");
  if (json.contains("next_stage"))
    result.next_stages = json.at("next_stage").is_string() ? std::vector{reader.get<std::string>("next_stage")}
                                                           : reader.get<std::vector<std::string>>("next_stage");
  const Reader architecture(reader.at("architecture"), where + ", architecture");
  result.network_class = architecture.get<std::string>("network_class_name");
  result.network_arguments = architecture.at("arch_kwargs");
  return result;
}

Json intensities_json(const std::vector<ChannelStatistics>& channels) {
  Json json = Json::object();
  for (std::size_t c = 0; c < channels.size(); ++c)
    json[std::to_string(c)] = {{"max", channels[c].maximum},
                               {"mean", channels[c].mean},
                               {"median", channels[c].median},
                               {"min", channels[c].minimum},
                               {"percentile_00_5", channels[c].percentile_00_5},
                               {"percentile_99_5", channels[c].percentile_99_5},
                               {"std", channels[c].standard_deviation}};
  return json;
}

std::vector<ChannelStatistics> parse_intensities(const Json& json) {
  std::vector<ChannelStatistics> channels;
  for (std::size_t c = 0; c < json.size(); ++c) {
    const Json& one = json.at(std::to_string(c));
    channels.push_back({one.at("mean"), one.at("std"), one.at("min"), one.at("max"), one.at("median"),
                        one.at("percentile_00_5"), one.at("percentile_99_5")});
  }
  return channels;
}

std::string normalisation_name(Normalisation scheme) {
  return std::find_if(std::begin(kNormalisations), std::end(kNormalisations),
                      [&](const auto& known) { return known.scheme == scheme; })
      ->name;
}

}  // namespace m3d
