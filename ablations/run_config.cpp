#include "ablations/run_config.h"

#include "common/error.h"
#include "common/hash.h"
#include "common/nearest_name.h"

namespace m3d {
namespace {

void keep_what_decides(Json& data) {
  data.erase("workers");
  if (data.value("split", "").empty()) data.erase("split");
  if (data.value("previous_stage", Json::array()).empty()) data.erase("previous_stage");
  const std::string plan = data.value("plan", "none");  // auto: a run of before there were plans
  const bool planned = plan != "none" && plan != "auto", from_file = !data.value("plan_hash", "").empty();
  if (from_file || !planned) data.erase("plan");
  if (!from_file) data.erase("plan_hash");
  if (!planned) data.erase("configuration");
}

/// What is measured beside the result, how often the state is saved and how much memory there is cannot change a
/// result. Initial weights and plans files are known by their content, wherever they lie; the standard split by what
/// lies on the disk (config.yaml has its hash).
Json settings_that_decide(Json settings) {
  settings.erase("profile");
  if (settings.contains("infer")) settings["infer"].erase("memory_limit_gib");
  if (settings.contains("data")) keep_what_decides(settings["data"]);
  if (!settings.contains("train")) return settings;
  Json& train = settings["train"];
  train.erase("checkpoint_every_steps");
  train.erase("memory_limit_gib");
  train.erase("initial_weights");
  if (train.value("initial_weights_hash", "").empty()) train.erase("initial_weights_hash");
  return settings;
}

template <class T>
T get(const Json& json, const std::string& key, const std::string& where) {
  if (!json.contains(key)) throw UserError(where + ": key '" + key + "' is missing");
  try {
    return json.at(key).get<T>();
  } catch (const Json::type_error&) {
    throw UserError(where + ": key '" + key + "' has a wrong type: " + json.at(key).dump());
  }
}

Json object_at(const Json& json, const std::string& key, const std::string& where) {
  const Json value = get<Json>(json, key, where);
  if (!value.is_object()) throw UserError(where + ": key '" + key + "' expects a mapping, got " + value.dump());
  return value;
}

/// Nested settings, every one present and checked.
Json checked_settings(const Json& nested, const std::string& where) {
  Json flat = Json::object();
  for (const auto& [section, entries] : nested.items()) {
    if (!entries.is_object()) throw UserError(where + ": settings '" + section + "' expects a mapping");
    for (const auto& [key, value] : entries.items()) flat[section + "." + key] = value;
  }
  return nest_settings(settings_schema().resolve(flat, [&](const std::string&) { return where; }));
}

}  // namespace

Json nest_settings(const Json& flat) {
  Json nested = Json::object();
  for (const auto& [name, value] : flat.items()) {
    const auto dot = name.find('.');
    nested[name.substr(0, dot)][name.substr(dot + 1)] = value;
  }
  return nested;
}

Json RunConfig::identity() const {
  Json identity = {{"architecture", architecture},
                   {"dataset", dataset},
                   {"fold", fold},
                   {"model", model},
                   {"precision", precision},
                   {"seed", seed},
                   {"settings", settings_that_decide(settings)}};
  // nlohmann::json keeps the keys of an object sorted, at every depth.
  return Json(nlohmann::json(identity));
}

std::string RunConfig::hash() const { return content_hash(identity().dump()); }

std::string RunConfig::folder_name() const { return name + "-" + hash().substr(0, 8); }

Json RunConfig::to_json() const {
  Json json = {{"suite", suite},       {"dataset", dataset},     {"architecture", architecture},
               {"name", name},         {"axes", axes},           {"fold", fold},
               {"seed", seed},         {"precision", precision}, {"device", device},
               {"position", position}, {"model", model},         {"settings", settings}};
  if (!match.is_null()) json["match"] = match;
  return json;
}

RunConfig RunConfig::from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) throw UserError(where + ": expected a mapping of names to values");
  RunConfig all_keys;
  all_keys.match = Json::object();
  const Json expected = all_keys.to_json();
  for (const auto& [key, value] : json.items())
    if (!expected.contains(key)) {
      std::vector<std::string> known;
      for (const auto& [name, unused] : expected.items()) known.push_back(name);
      throw UserError(where + ": " + unknown_name_message("key", key, known));
    }
  RunConfig config;
  config.suite = get<std::string>(json, "suite", where);
  config.dataset = get<std::string>(json, "dataset", where);
  config.architecture = get<std::string>(json, "architecture", where);
  config.name = get<std::string>(json, "name", where);
  config.axes = object_at(json, "axes", where);
  config.model = object_at(json, "model", where);
  config.settings = checked_settings(object_at(json, "settings", where), where);
  config.fold = get<int>(json, "fold", where);
  config.seed = get<std::uint64_t>(json, "seed", where);
  config.precision = get<std::string>(json, "precision", where);
  config.device = get<std::string>(json, "device", where);
  config.position = get<int>(json, "position", where);
  if (json.contains("match")) config.match = object_at(json, "match", where);
  return config;
}

}  // namespace m3d
