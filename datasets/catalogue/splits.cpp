#include "datasets/catalogue/splits.h"

#include <algorithm>
#include <set>

#include "common/error.h"
#include "common/hash.h"
#include "common/nearest_name.h"
#include "datasets/catalogue/dataset_json.h"
#include "datasets/planning/dataset_plan.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr const char* kNameKey = "m3d_split";  // nnU-Net reads "train" and "val" alone

std::vector<std::string> case_ids(const Dataset& dataset) {
  std::vector<std::string> ids;
  for (const auto& files : dataset.training) ids.push_back(files.id);
  return ids;
}

/// splits_final.json beside dataset.json or where nnU-Net itself keeps it; empty where there is none.
fs::path stored_splits(const Dataset& dataset) {
  if (dataset.folder.empty()) return {};
  const fs::path beside = dataset.folder / "splits_final.json";
  if (fs::is_regular_file(beside)) return beside;
  const fs::path central = preprocessed_folder(dataset) / "splits_final.json";
  return fs::is_regular_file(central) ? central : fs::path();
}

std::vector<std::string> split_side(const Json& fold, const char* side, const std::set<std::string>& known,
                                    const std::string& where) {
  const auto list = fold.is_object() ? fold.find(side) : fold.end();
  if (!fold.is_object() || list == fold.end() || !list->is_array() || list->empty())
    throw UserError(where + ": expected an object with non-empty lists 'train' and 'val' of case ids");
  std::set<std::string> ids;
  for (const Json& id : *list) {
    if (!id.is_string() || !known.contains(id.get<std::string>()))
      throw UserError(where + ": '" + side + "' names the case " + id.dump() +
                      ", which the dataset does not have; correct it or delete the file to get the standard folds");
    ids.insert(id.get<std::string>());
  }
  return {ids.begin(), ids.end()};
}

Split parse_split(const Json& fold, const std::set<std::string>& known, const std::string& where) {
  Split split{split_side(fold, "train", known, where), split_side(fold, "val", known, where)};
  std::vector<std::string> both;
  std::set_intersection(split.training.begin(), split.training.end(), split.validation.begin(), split.validation.end(),
                        std::back_inserter(both));
  if (!both.empty())
    throw UserError(where + ": case '" + both.front() + "' is on both sides (" + std::to_string(both.size()) +
                    " such cases); validation cases must not be trained on");
  return split;
}

std::vector<Split> parse_splits(const Json& json, const fs::path& file, const std::vector<std::string>& ids) {
  if (!json.is_array() || json.empty())
    throw UserError(file.string() + R"(: expected a list of folds, [{"train": […], "val": […]}, …])");
  const std::set<std::string> known(ids.begin(), ids.end());
  std::vector<Split> splits;
  for (std::size_t i = 0; i < json.size(); ++i)
    splits.push_back(parse_split(json[i], known, file.string() + ": fold " + std::to_string(i)));
  return splits;
}

const Json& named_rules(const Dataset& dataset) {
  static const Json none = Json::object();
  return dataset.split_rules.named.is_object() ? dataset.split_rules.named : none;
}

/// The rule called `name`: the descriptor's, or one that every dataset has.
Json rule_called(const Dataset& dataset, const std::string& name) {
  if (named_rules(dataset).contains(name)) return named_rules(dataset)[name];
  if (name == "nnunet") return {{"rule", "kfold"}};
  if (name == "patients" && !dataset.split_rules.patient.empty()) return {{"rule", "kfold_patients"}};
  std::vector<std::string> known;
  for (const auto& [one, description] : split_names(dataset)) known.push_back(one);
  throw UserError("--set data.split: " + unknown_name_message("split of '" + dataset.name + "'", name, known));
}

std::string standard_name(const Dataset& dataset) {
  if (!dataset.split_rules.standard.empty()) return dataset.split_rules.standard;
  return dataset.split_rules.patient.empty() ? "nnunet" : "patients";
}

std::string hash_of(const Split& split) {
  return content_hash(Json{{"train", split.training}, {"val", split.validation}}.dump());
}

std::vector<std::string> patients_on_both_sides(const Dataset& dataset, const Split& split) {
  if (dataset.split_rules.patient.empty()) return {};
  std::set<std::string> training, both;
  for (const auto& id : split.training) training.insert(patient_of(dataset.split_rules, id));
  for (const auto& id : split.validation)
    if (const auto patient = patient_of(dataset.split_rules, id); training.contains(patient)) both.insert(patient);
  return {both.begin(), both.end()};
}

/// The folds by name, `where` they come from for messages, and what a leak means where it is known.
struct Folds {
  std::string name, where, leak;
  std::vector<Split> splits;
};

/// Of a splits_final.json: ours says which folds it holds.
std::string name_in(const Json& json) {
  const bool named = json.is_array() && !json.empty() && json.front().is_object() && json.front().contains(kNameKey) &&
                     json.front()[kNameKey].is_string();
  return named ? json.front()[kNameKey].get<std::string>() : "splits_final.json";
}

Folds folds_called(const Dataset& dataset, const std::string& asked) {
  const fs::path stored = asked.empty() ? stored_splits(dataset) : fs::path();
  if (!stored.empty()) {
    const Json json = read_json(stored);
    return {name_in(json), stored.string(), "", parse_splits(json, stored, case_ids(dataset))};
  }
  const std::string name = asked.empty() ? standard_name(dataset) : asked;
  const Json rule = rule_called(dataset, name);
  return {name, "split '" + name + "' of dataset '" + dataset.name + "'", rule.value("leak", ""),
          folds_by_rule(dataset, name, rule)};
}

void require_no_leak(const Dataset& dataset, const Folds& folds, const Split& split) {
  if (split.leaking_patients.empty() || !folds.leak.empty()) return;
  std::string advice = "; use --set data.split=" + standard_name(dataset);
  for (const auto& [name, rule] : named_rules(dataset).items())
    if (rule.contains("leak")) advice += ", or data.split=" + name + " for the published folds, whose leak is recorded";
  throw UserError(folds.where + " has patient '" + split.leaking_patients.front() + "' on both sides (" +
                  std::to_string(split.leaking_patients.size()) +
                  " such patients): cases of one patient are not independent, and validation would be optimistic" +
                  advice);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> split_names(const Dataset& dataset) {
  std::vector<std::pair<std::string, std::string>> names;
  for (const auto& [name, rule] : named_rules(dataset).items()) names.emplace_back(name, rule["description"]);
  if (!dataset.split_rules.patient.empty() && !named_rules(dataset).contains("patients"))
    names.emplace_back("patients", "nnU-Net's five folds over patients instead of cases");
  names.emplace_back("nnunet", "nnU-Net's five folds over cases");
  return names;
}

Json standard_splits_json(const Dataset& dataset) {
  const std::string name = standard_name(dataset);
  if (dataset.training.size() < 5) return {};
  Json folds = Json::array();
  for (const Split& split : folds_by_rule(dataset, name, rule_called(dataset, name)))
    folds.push_back({{"train", split.training}, {"val", split.validation}, {kNameKey, name}});
  return folds;
}

Split split_of(const Dataset& dataset, int fold, const std::string& name) {
  Split split;
  if (fold == -1) {
    if (!name.empty()) rule_called(dataset, name);
    split.training = split.validation = case_ids(dataset);
    split.name = "everything";
  } else {
    Folds folds = folds_called(dataset, name);
    if (fold < 0 || fold >= static_cast<int>(folds.splits.size()))
      throw UserError("--fold " + std::to_string(fold) + " does not exist: " + folds.where + " has folds 0 to " +
                      std::to_string(folds.splits.size() - 1) + "; choose one of them, or --fold everything");
    split = std::move(folds.splits[static_cast<std::size_t>(fold)]);
    split.name = folds.name;
    split.leak = folds.leak;
    split.leaking_patients = patients_on_both_sides(dataset, split);
    require_no_leak(dataset, folds, split);
  }
  split.hash = hash_of(split);
  return split;
}

}  // namespace m3d
