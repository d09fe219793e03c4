#include "reports/run_folder.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <sstream>
#include <tuple>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/log.h"

namespace m3d::reports {
namespace fs = std::filesystem;
namespace {

constexpr int kKnownSchema = 1;

[[noreturn]] void reject(const std::string& key, const std::string& expected) {
  throw UserError("key '" + key + "': expected " + expected);
}

const Json& required(const Json& object, const std::string& key) {
  if (!object.contains(key)) reject(key, "to be there");
  return object.at(key);
}

std::string text_of(const Json& object, const std::string& key) {
  const Json& value = required(object, key);
  if (!value.is_string()) reject(key, "a string");
  return value.get<std::string>();
}

std::optional<double> number_of(const Json& object, const std::string& key, double maximum = 1e300) {
  if (!object.is_object() || !object.contains(key) || object.at(key).is_null()) return std::nullopt;
  const Json& value = object.at(key);
  if (!value.is_number()) reject(key, "a number or null");
  const auto number = value.get<double>();
  if (!(number >= 0 && number <= maximum)) reject(key, maximum == 1 ? "a number in [0, 1]" : "a number of at least 0");
  return number;
}

Metrics metrics_of(const Json& object, const std::string& prefix = "") {
  return {number_of(object, prefix + "dice", 1), number_of(object, prefix + "hd95_mm"),
          number_of(object, prefix + "nsd", 1)};
}

const Json& object_or_empty(const Json& object, const std::string& key) {
  static const Json empty = Json::object();
  if (!object.contains(key) || object.at(key).is_null()) return empty;
  if (!object.at(key).is_object()) reject(key, "an object");
  return object.at(key);
}

std::vector<std::pair<std::string, Metrics>> named_metrics(const Json& object, const std::string& key) {
  std::vector<std::pair<std::string, Metrics>> named;
  for (const auto& [name, value] : object_or_empty(object, key).items()) named.emplace_back(name, metrics_of(value));
  return named;
}

std::string plain_text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

void read_metrics(const Json& metrics, Run& run) {
  run.mean = metrics_of(metrics, "mean_");
  run.mean_hd95_mm_penalised = number_of(metrics, "mean_hd95_mm_penalised");
  run.groups = named_metrics(metrics, "groups");
  run.per_class = named_metrics(metrics, "per_class");
  for (const auto& [name, count] : object_or_empty(metrics, "missed").items()) {
    if (!count.is_number()) reject("missed." + name, "a number");
    run.missed = run.missed.value_or(0) + count.get<double>();
  }
  if (!metrics.contains("per_case")) return;
  if (!metrics.at("per_case").is_array()) reject("per_case", "a list");
  for (const Json& entry : metrics.at("per_case"))
    run.per_case.push_back({text_of(entry, "case"), text_of(entry, "class"), metrics_of(entry)});
}

void read_patch(const Json& sizes, Profile& profile) {
  if (!sizes.is_array()) reject("patch", "a list");
  for (const Json& size : sizes) {
    if (!size.is_number_integer() || size <= 0) reject("patch", "whole numbers above 0");
    profile.patch += (profile.patch.empty() ? "" : "×") + size.dump();
    profile.patch_voxels = profile.patch_voxels.value_or(1) * size.get<double>();
  }
}

void read_profile(const Json& profile, Run& run) {
  Profile& out = run.profile;
  out.parameters = number_of(profile, "parameters");
  out.macs = number_of(object_or_empty(profile, "macs"), "total");
  out.scan_macs = number_of(object_or_empty(profile, "macs"), "scan");
  out.macs_at_128 = number_of(object_or_empty(profile, "macs_at_128"), "total");
  out.scan_state_updates = number_of(profile, "scan_state_updates");
  out.predicted_tensor_bytes = number_of(profile, "predicted_tensor_bytes");
  out.peak_tensor_bytes = number_of(profile, "peak_tensor_bytes");
  out.peak_memory_bytes = number_of(profile, "peak_memory_bytes");
  out.train_seconds = number_of(profile, "train_seconds");
  out.train_patches_per_second = number_of(profile, "train_patches_per_second");
  out.inference_voxels_per_second = number_of(profile, "inference_voxels_per_second");
  if (profile.contains("patch") && !profile.at("patch").is_null()) read_patch(profile.at("patch"), out);
  if (profile.contains("device") && !profile.at("device").is_null()) out.device = plain_text(profile.at("device"));
}

void read_record(const Json& record, Run& run) {
  if (!record.is_object()) throw UserError("expected a JSON object");
  const Json& schema = required(record, "schema");
  if (schema != kKnownSchema) reject("schema", std::to_string(kKnownSchema) + ", found " + schema.dump());
  run.suite = text_of(record, "suite");
  run.dataset = text_of(record, "dataset");
  run.architecture = run.title = text_of(record, "architecture");
  run.status = text_of(record, "status");
  run.hash = text_of(record, "hash");
  for (const auto& [name, value] : object_or_empty(record, "axes").items())
    run.axes.emplace_back(name, plain_text(value));
  if (!required(record, "fold").is_number_integer()) reject("fold", "an integer");
  run.fold = record.at("fold").get<int>();
  if (!required(record, "seed").is_number_integer()) reject("seed", "an integer");
  run.seed = record.at("seed").get<std::uint64_t>();
  if (record.contains("error") && !record.at("error").is_null()) run.error = plain_text(record.at("error"));
  if (run.ok() && !record.contains("metrics")) reject("metrics", "to be there for status ok");
  read_metrics(object_or_empty(record, "metrics"), run);
  read_profile(object_or_empty(record, "profile"), run);
  for (const auto& [name, value] : object_or_empty(record, "provenance").items())
    if (!value.is_null()) run.provenance[name] = plain_text(value);
}

/// Leaves of nested objects as "train.epochs" → text, without seeds.
void flatten(const Json& value, const std::string& name, std::map<std::string, std::string>& out) {
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) flatten(child, name.empty() ? key : name + "." + key, out);
  } else if (!name.ends_with("seed")) {
    out[name] = plain_text(value);
  }
}

void read_config(const fs::path& file, Run& run) {
  const Json config = YamlDocument::load(file).root();
  if (config.contains("architecture_title")) run.title = text_of(config, "architecture_title");
  if (config.contains("architecture_family")) run.family = text_of(config, "architecture_family");
  if (config.contains("position")) run.position = config.at("position").get<std::int64_t>();
  if (config.contains("dataset_folder")) run.dataset_folder = text_of(config, "dataset_folder");
  const Json split = object_or_empty(config, "split");
  if (split.contains("name")) run.split = text_of(split, "name");
  if (split.contains("leak")) run.leak = text_of(split, "leak");
  run.leaking_patients = split.value("leaking_patients", run.leaking_patients);
  flatten(object_or_empty(config, "model"), "model", run.settings);
  flatten(object_or_empty(config, "settings"), "", run.settings);
  if (config.contains("precision")) run.settings["precision"] = plain_text(config.at("precision"));
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream stream(line);
  for (std::string field; std::getline(stream, field, ',');) {
    if (!field.empty() && field.back() == '\r') field.pop_back();
    fields.push_back(field);
  }
  return fields;
}

void read_log(const fs::path& file, Run& run) {
  std::istringstream stream(read_file(file));
  std::string line;
  if (!std::getline(stream, line)) throw UserError("the file is empty");
  const std::vector<std::string> names = fields_of(line);
  while (std::getline(stream, line)) {
    std::vector<std::string> fields = fields_of(line);
    fields.resize(names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
      char* end = nullptr;
      const double value = std::strtod(fields[i].c_str(), &end);
      const bool number = !fields[i].empty() && *end == '\0' && std::isfinite(value);
      run.log[names[i]].push_back(number ? std::optional(value) : std::nullopt);
    }
  }
}

/// Throws unless `order` reads every token of its grid exactly once.
void check_permutation(const ScanOrder& order) {
  const auto tokens = static_cast<std::size_t>(order.grid[0] * order.grid[1] * order.grid[2]);
  std::vector<bool> seen(tokens, false);
  for (const std::int64_t token : order.permutation) {
    if (token < 0 || static_cast<std::size_t>(token) >= tokens || seen[static_cast<std::size_t>(token)])
      throw UserError("order '" + order.name + "' is not a permutation of its grid");
    seen[static_cast<std::size_t>(token)] = true;
  }
  if (order.permutation.size() != tokens) throw UserError("order '" + order.name + "' does not read its whole grid");
}

void read_scan_orders(const fs::path& file, Run& run) {
  for (const Json& entry : Json::parse(read_file(file))) {
    ScanOrder order{text_of(entry, "name"), required(entry, "grid").get<std::array<std::int64_t, 3>>(),
                    required(entry, "permutation").get<std::vector<std::int64_t>>()};
    check_permutation(order);
    run.scan_orders.push_back(std::move(order));
  }
}

using SideReader = void (*)(const fs::path&, Run&);

void read_side_file(const char* name, SideReader reader, Run& run, std::vector<std::string>& remarks) {
  const fs::path file = run.folder / name;
  if (!fs::exists(file)) return;
  try {
    reader(file, run);
  } catch (const std::exception& failure) {
    remarks.push_back(file.string() + " was left out: " + failure.what());
    log(LogLevel::warning, remarks.back());
  }
}

bool to_be_searched(const fs::path& folder) {
  static const std::set<std::string> others = {"predictions", "report", "tables", "figures", "data"};
  const std::string name = folder.filename().string();
  return !name.starts_with('.') && !others.contains(name);
}

void collect_folders(const fs::path& folder, std::set<fs::path>& with_record, std::set<fs::path>& without) {
  if (fs::exists(folder / "record.json"))
    with_record.insert(fs::canonical(folder));
  else if (fs::exists(folder / "config.yaml"))
    without.insert(fs::canonical(folder));
  for (const auto& entry : fs::directory_iterator(folder, fs::directory_options::skip_permission_denied))
    if (entry.is_directory() && !entry.is_symlink() && to_be_searched(entry.path()))
      collect_folders(entry.path(), with_record, without);
}

std::string provenance_of(const Run& run, const std::string& key) {
  const auto found = run.provenance.find(key);
  return found == run.provenance.end() ? "" : found->second;
}

/// Keeps of equal experiments the one that finished last.
void drop_repeated(FoundRuns& found) {
  std::map<std::string, Run> latest;
  for (Run& run : found.runs) {
    const std::string key = run.suite + "/" + run.dataset + "/" + run.hash;
    const auto [place, fresh] = latest.try_emplace(key, run);
    if (fresh) continue;
    const bool newer = provenance_of(place->second, "finished") < provenance_of(run, "finished");
    const Run& dropped = newer ? place->second : run;
    found.remarks.push_back(dropped.folder.string() + " repeats experiment " + run.hash + " and is not counted");
    if (newer) place->second = run;
  }
  found.runs.clear();
  for (auto& [key, run] : latest) found.runs.push_back(std::move(run));
}

/// `amount` over a rate; absent where nothing was measured.
std::optional<double> over_rate(const std::optional<double>& amount, const std::optional<double>& rate) {
  return amount && rate && *rate > 0 ? std::optional(*amount / *rate) : std::nullopt;
}

}  // namespace

std::optional<double> Profile::training_seconds_a_patch() const { return over_rate(1, train_patches_per_second); }

std::optional<double> Profile::inference_seconds_a_patch() const {
  return over_rate(patch_voxels, inference_voxels_per_second);
}

Run read_run(const fs::path& folder, std::vector<std::string>& remarks) {
  Run run;
  run.folder = folder;
  try {
    read_record(Json::parse(read_file(folder / "record.json")), run);
  } catch (const Json::exception& failure) {
    throw UserError(failure.what());
  }
  read_side_file("config.yaml", read_config, run, remarks);
  read_side_file("log.csv", read_log, run, remarks);
  read_side_file("scan_orders.json", read_scan_orders, run, remarks);
  return run;
}

FoundRuns find_runs(const std::vector<fs::path>& folders) {
  std::set<fs::path> with_record, without;
  for (const fs::path& folder : folders) {
    if (!fs::is_directory(folder))
      throw UserError(folder.string() + " is not a folder; give a run folder or one that contains runs");
    collect_folders(folder, with_record, without);
  }
  FoundRuns found;
  found.unfinished.assign(without.begin(), without.end());
  for (const fs::path& folder : with_record) {
    try {
      found.runs.push_back(read_run(folder, found.remarks));
    } catch (const UserError& failure) {
      found.damaged.push_back({folder, failure.what()});
      log(LogLevel::warning, (folder / "record.json").string() + " is damaged and left out: " + failure.what());
    }
  }
  drop_repeated(found);
  std::sort(found.runs.begin(), found.runs.end(), [](const Run& a, const Run& b) {
    return std::tuple(a.position, provenance_of(a, "started"), a.folder) <
           std::tuple(b.position, provenance_of(b, "started"), b.folder);
  });
  return found;
}

}  // namespace m3d::reports
