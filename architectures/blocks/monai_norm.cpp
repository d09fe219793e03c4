#include "architectures/blocks/monai_norm.h"

#include <algorithm>
#include <map>

#include "common/error.h"

namespace m3d {
namespace {

/// MONAI's names and ours; its nvfuser layer computes the same as its instance norm.
const std::map<std::string, std::string>& kinds() {
  static const std::map<std::string, std::string> names = {{"instance", "IN"}, {"instance_nvfuser", "IN"},
                                                           {"batch", "BN"},    {"syncbatch", "SyncBN"},
                                                           {"group", "GN"},    {"none", "none"}};
  return names;
}

/// PyTorch's instance norm has no weights unless asked for; the other norms have.
bool switched(const std::string& value, bool otherwise) { return value == "default" ? otherwise : value == "true"; }

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

}  // namespace

std::vector<OptionSpec> monai_norm_options(const std::string& default_name) {
  using enum OptionType;
  std::vector<std::string> names;
  for (const auto& [name, kind] : kinds()) names.push_back(name);
  const std::vector<std::string> switches{"default", "true", "false"};
  return {{"norm_name", string, default_name, "normalisation after convolutions", names},
          {"norm_num_groups", integer, 8, "norm_name group: number of groups", {}, 1},
          {"norm_affine", string, "default", "weights of the normalisation; default: all but instance have", switches},
          {"norm_eps", number, 1e-5, "epsilon of the normalisation", {}, 0},
          {"norm_momentum", number, 0.1, "momentum of running statistics", {}, 0, 1},
          {"norm_track_running_stats", string, "default", "running statistics; default: batch norms have", switches}};
}

VolumeNormShape monai_norm(const Json& options) {
  VolumeNormShape shape;
  shape.kind = kinds().at(options.at("norm_name"));
  const bool batch = shape.kind == "BN" || shape.kind == "SyncBN";
  shape.groups = options.at("norm_num_groups");
  shape.affine = switched(options.at("norm_affine"), shape.kind != "IN");
  shape.eps = options.at("norm_eps");
  shape.momentum = options.at("norm_momentum");
  shape.running_statistics = switched(options.at("norm_track_running_stats"), batch);
  if (shape.kind == "GN" && *shape.running_statistics)
    throw UserError("option 'norm_track_running_stats': group normalisation has no running statistics");
  return shape;
}

void copy_monai_norm(RecordConfig& config, Json& options) {
  const Json value = config.get<Json>("norm_name", nullptr);
  if (value.is_null()) return;
  const std::string name = lower((value.is_array() ? value.at(0) : value).get<std::string>());
  options["norm_name"] = name.empty() ? "none" : name;
  if (!value.is_array() || value.size() < 2) return;
  RecordConfig arguments(value.at(1));
  for (const auto& key : {"num_groups", "eps", "momentum"}) arguments.copy(key, options, "norm_" + std::string(key));
  for (const auto& key : {"affine", "track_running_stats"})
    if (arguments.has(key)) options["norm_" + std::string(key)] = arguments.require<bool>(key) ? "true" : "false";
  arguments.ignore({"affine", "track_running_stats"});
  arguments.require_all_used();
}

}  // namespace m3d
