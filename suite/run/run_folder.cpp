#include "suite/run/run_folder.h"

#include "common/atomic_file.h"
#include "common/error.h"
#include "suite/run/provenance.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr int kRecordSchema = 1;
constexpr std::array<std::int64_t, 3> kDiagramGrid{4, 8, 8};

bool has(const Json& json, const char* key, Json::value_t type) {
  return json.contains(key) && json[key].type() == type;
}

/// What is wrong with a record, in words; empty when nothing is.
std::string damage_of(const Json& record, const RunConfig& config) {
  if (!record.is_object()) return "it is not a JSON object";
  if (!record.contains("schema") || record["schema"] != kRecordSchema)
    return "its schema is not " + std::to_string(kRecordSchema);
  for (const char* key : {"status", "hash", "architecture", "dataset", "suite"})
    if (!has(record, key, Json::value_t::string)) return std::string("it has no text '") + key + "'";
  if (record["hash"] != config.hash()) return "its hash is not " + config.hash();
  const std::string status = record["status"];
  if (status != "ok")
    return has(record, "error", Json::value_t::string) ? "" : "its status is '" + status + "' but it has no 'error'";
  for (const char* key : {"metrics", "profile", "provenance", "axes"})
    if (!has(record, key, Json::value_t::object)) return std::string("it has no object '") + key + "'";
  for (const char* key : {"per_case", "per_class", "mean_dice"})
    if (!record["metrics"].contains(key)) return std::string("its metrics have no '") + key + "'";
  return "";
}

Json statistics_json(const ChannelStatistics& channel) {
  return {{"mean", channel.mean},
          {"standard_deviation", channel.standard_deviation},
          {"minimum", channel.minimum},
          {"maximum", channel.maximum},
          {"median", channel.median},
          {"percentile_00_5", channel.percentile_00_5},
          {"percentile_99_5", channel.percentile_99_5}};
}

ChannelStatistics statistics_of(const Json& json) {
  return {json.at("mean"),   json.at("standard_deviation"), json.at("minimum"),        json.at("maximum"),
          json.at("median"), json.at("percentile_00_5"),    json.at("percentile_99_5")};
}

Json prediction_context_json(const FoldData& data, const Shape3& patch) {
  const Dataset& dataset = data.dataset();
  Json classes = Json::array(), channels = Json::array();
  for (const LabelClass& one : dataset.classes) classes.push_back({{"name", one.name}, {"values", one.values}});
  for (const ChannelStatistics& channel : data.fingerprint().channels) channels.push_back(statistics_json(channel));
  Json json = {{"dataset", dataset.name},
               {"channel_names", dataset.channel_names},
               {"classes", classes},
               {"region_based", dataset.region_based},
               {"regions_class_order", dataset.regions_class_order},
               {"intensities", channels},
               {"median_relative_size", data.fingerprint().median_relative_size},
               {"patch", patch}};
  if (!data.plan()) return json;
  json["configuration"] = data.plan()->configuration.name;
  json["plans"] = data.plan()->plans.json();
  return json;
}

/// Cases by name and hash: the same hash is the same two lists.
Json split_json(const Split& split) {
  Json json = {{"name", split.name},
               {"hash", split.hash},
               {"training_cases", split.training.size()},
               {"validation_cases", split.validation.size()}};
  if (!split.leaking_patients.empty()) {
    json["leaking_patients"] = split.leaking_patients.size();
    json["leak"] = split.leak;
  }
  return json;
}

Json plan_json(const RunPlan& plan) {
  return {{"name", plan.plans.name()}, {"configuration", plan.configuration.name}, {"hash", plan.plans.hash()}};
}

Json scan_orders_json(const RunConfig& config) {
  Json orders = Json::array();
  const Architecture& architecture = find_architecture(config.architecture);
  if (!architecture.scan_orders) return orders;
  for (const ScanOrderUse& use : architecture.scan_orders(config.model, kDiagramGrid, config.seed))
    orders.push_back({{"name", use.name}, {"grid", use.grid}, {"permutation", use.permutation}});
  return orders;
}

}  // namespace

fs::path run_folder_of(const RunConfig& config, const fs::path& output) {
  return output / config.suite / config.dataset / config.folder_name();
}

RunInspection inspect_run(const fs::path& folder, const RunConfig& config) {
  if (!config.skip_reason.empty()) return {RunState::skipped, config.skip_reason};
  const fs::path file = folder / "record.json";
  if (!fs::exists(file)) return {fs::exists(folder / "checkpoint.pt") ? RunState::partial : RunState::fresh, ""};
  const Json record = Json::parse(read_file(file), nullptr, false);
  const std::string damage = damage_of(record, config);
  if (!damage.empty())
    return {RunState::damaged, file.string() + " is damaged: " + damage + "; --fresh repeats the run"};
  if (record["status"] == "ok") return {RunState::done, ""};
  return {RunState::failed, record["status"].get<std::string>() + ": " + record["error"].get<std::string>()};
}

void clear_run_folder(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename() != ".lock") fs::remove_all(entry.path());
}

void write_run_description(const fs::path& folder, const RunConfig& config, const FoldData& data, const Shape3& patch) {
  const Architecture& architecture = find_architecture(config.architecture);
  Json description = config.to_json();
  description["dataset_folder"] = fs::absolute(data.dataset().folder).lexically_normal().string();
  description["split"] = split_json(data.split());
  if (data.plan()) description["plan"] = plan_json(*data.plan());
  if (!data.previous_stage_hash().empty()) description["previous_stage"] = data.previous_stage_hash();
  description["architecture_title"] = architecture.title;
  description["architecture_family"] = architecture.family;
  write_atomically(folder / "config.yaml", to_yaml(description));
  write_atomically(folder / "data.json", prediction_context_json(data, patch).dump(1) + "\n");
  write_atomically(folder / "scan_orders.json", scan_orders_json(config).dump() + "\n");
}

void require_same_data(const fs::path& folder, const FoldData& data) {
  const fs::path file = folder / "config.yaml";
  if (!fs::exists(folder / "checkpoint.pt") || !fs::exists(file)) return;
  const Json description = YamlDocument::load(file).root();
  if (data.plan() && description.value("plan", Json()) != plan_json(*data.plan()))
    throw UserError(folder.string() + " was begun by another plan than " + data.plan()->plans.where() +
                    " is now: put the former plan back, or repeat the run with --fresh");
  if (description.value("previous_stage", "") != data.previous_stage_hash())
    throw UserError(folder.string() +
                    " was begun with other segmentations of the first stage (data.previous_stage) than there are now: "
                    "put the former ones back, or repeat the run with --fresh");
  const Json begun = description.value("split", Json());
  if (!begun.is_object() || begun.value("hash", "") == data.split().hash) return;
  throw UserError(folder.string() + " was begun with other cases (split '" + begun.value("name", "") + "', " +
                  begun.value("hash", "") + ") than '" + data.split().name + "' has now (" + data.split().hash +
                  "): put the former splits_final.json back, or repeat the run with --fresh");
}

RunConfig read_run_config(const fs::path& folder) {
  const fs::path file = folder / "config.yaml";
  if (!fs::exists(file))
    throw UserError(folder.string() +
                    " is not a run folder: it has no config.yaml; give a folder like "
                    "m3d-results/<suite>/<dataset>/<run>");
  const YamlDocument document = YamlDocument::load(file);
  Json json = document.root();
  for (const char* key :
       {"dataset_folder", "split", "plan", "previous_stage", "architecture_title", "architecture_family"})
    if (json.is_object()) json.erase(key);
  return RunConfig::from_json(json, file.string());
}

PredictionContext read_prediction_context(const fs::path& folder) {
  const fs::path file = folder / "data.json";
  try {
    const Json json = Json::parse(read_file(file));
    PredictionContext context;
    context.dataset.name = json.at("dataset");
    context.dataset.channel_names = json.at("channel_names").get<std::vector<std::string>>();
    for (const Json& one : json.at("classes"))
      context.dataset.classes.push_back({one.at("name"), one.at("values").get<std::vector<int>>()});
    context.dataset.region_based = json.at("region_based");
    context.dataset.regions_class_order = json.at("regions_class_order").get<std::vector<int>>();
    for (const Json& channel : json.at("intensities")) context.fingerprint.channels.push_back(statistics_of(channel));
    context.fingerprint.median_relative_size = json.at("median_relative_size");
    context.patch = json.at("patch").get<Shape3>();
    if (json.contains("plans"))
      context.plan.emplace(Plans(json.at("plans"), file.string() + ", plans"), json.at("configuration"));
    return context;
  } catch (const nlohmann::json::exception& error) {
    throw UserError(file.string() + " is damaged (" + error.what() + "); repeat the run with --fresh");
  }
}

void write_record(const fs::path& folder, const RunConfig& config, const RunResult& result,
                  const std::string& command) {
  Json record = {{"schema", kRecordSchema},   {"suite", config.suite},
                 {"dataset", config.dataset}, {"architecture", config.architecture},
                 {"axes", config.axes},       {"fold", config.fold},
                 {"seed", config.seed},       {"status", result.status}};
  if (result.status != "ok") record["error"] = result.error;
  record["hash"] = config.hash();
  record["metrics"] = result.metrics;
  record["profile"] = result.profile;
  record["provenance"] = provenance_json(config, result.started, result.finished, command);
  write_atomically(folder / "record.json", record.dump(1) + "\n");
}

}  // namespace m3d
