#include <algorithm>
#include <map>
#include <numeric>
#include <regex>
#include <set>

#include "common/error.h"
#include "common/nearest_name.h"
#include "datasets/catalogue/splits.h"
#include "datasets/numerics/numpy_random.h"

namespace m3d {
namespace {

constexpr std::int64_t kFolds = 5;
constexpr std::uint32_t kSplitSeed = 12345;

/// "img0005" → 5; -1 where the id does not end with digits.
std::int64_t trailing_number(const std::string& id) {
  const auto digits = id.find_last_not_of("0123456789") + 1;
  return digits == id.size() || id.size() - digits > 12 ? -1 : std::stoll(id.substr(digits));
}

/// Finds the cases that a rule names.
class CaseFinder {
 public:
  CaseFinder(const Dataset& dataset, std::string split, const Json& rule)
      : dataset_(dataset), split_(std::move(split)), by_number_(rule.value("cases_by_number", false)) {
    for (const auto& files : dataset.training) {
      const std::string& id = files.id;
      ids_.push_back(id);
      if (by_number_) {
        add(std::to_string(trailing_number(id)), id);
      } else {
        add(id, id);
        if (const std::string patient = patient_of(dataset.split_rules, id); patient != id) add(patient, id);
      }
    }
  }

  const std::vector<std::string>& ids() const { return ids_; }

  std::set<std::string> find_all(const Json& names) const {
    std::set<std::string> found;
    std::vector<std::string> missing;
    for (const Json& name : names) {
      const std::string key = name.is_string() ? name.get<std::string>() : name.dump();
      const auto cases = by_name_.find(key);
      if (cases == by_name_.end()) {
        missing.push_back(key);
      } else {
        if (by_number_ && cases->second.size() > 1)
          throw UserError("split '" + split_ + "' of '" + dataset_.name + "': cases " + cases->second[0] + " and " +
                          cases->second[1] + " both end with " + key + "; give a splits_final.json instead");
        found.insert(cases->second.begin(), cases->second.end());
      }
    }
    if (!missing.empty())
      throw UserError("split '" + split_ + "' of '" + dataset_.name + "' names " + (by_number_ ? "number " : "") +
                      missing.front() + (missing.size() > 1 ? " and others" : "") + ", which " +
                      dataset_.folder.string() +
                      " does not have; it needs the whole dataset: choose another split with --set data.split=NAME");
    return found;
  }

 private:
  void add(const std::string& name, const std::string& id) { by_name_[name].push_back(id); }

  const Dataset& dataset_;
  std::string split_;
  bool by_number_;
  std::vector<std::string> ids_;
  std::map<std::string, std::vector<std::string>> by_name_;
};

void require_five(const Dataset& dataset, std::size_t count, const std::string& what) {
  if (std::cmp_greater_equal(count, kFolds)) return;
  throw UserError("dataset '" + dataset.name + "' has " + std::to_string(count) + " " + what +
                  ", too few for five folds; use --fold everything, or give a splits_final.json in " +
                  dataset.folder.string());
}

/// Groups → which of the five folds validates each.
using FoldOf = std::map<std::string, std::int64_t>;

FoldOf kfold_groups(const std::vector<std::string>& groups) {
  FoldOf fold_of;
  const auto validation = kfold_validation(std::ssize(groups));
  for (std::int64_t fold = 0; fold < kFolds; ++fold)
    for (const std::int64_t index : validation[static_cast<std::size_t>(fold)])
      fold_of[groups[static_cast<std::size_t>(index)]] = fold;
  return fold_of;
}

FoldOf interleaved_groups(std::vector<std::string> groups, std::uint32_t seed) {
  std::vector<std::int64_t> order(groups.size());
  std::iota(order.begin(), order.end(), 0);
  NumpyRandom(seed).shuffle(order);
  FoldOf fold_of;
  for (std::size_t i = 0; i < order.size(); ++i)
    fold_of[groups[static_cast<std::size_t>(order[i])]] = static_cast<std::int64_t>(i) % kFolds;
  return fold_of;
}

std::vector<Split> folds_of_groups(const std::vector<std::string>& ids, const std::vector<std::string>& group_of_id,
                                   const FoldOf& fold_of) {
  std::vector<Split> folds(kFolds);
  for (std::size_t i = 0; i < ids.size(); ++i)
    for (std::int64_t fold = 0; fold < kFolds; ++fold) {
      Split& split = folds[static_cast<std::size_t>(fold)];
      (fold_of.at(group_of_id[i]) == fold ? split.validation : split.training).push_back(ids[i]);
    }
  return folds;
}

std::vector<Split> listed_folds(const CaseFinder& finder, const Json& folds) {
  std::vector<Split> splits;
  for (const Json& fold : folds) {
    const auto training = finder.find_all(fold["train"]), validation = finder.find_all(fold["val"]);
    splits.push_back({{training.begin(), training.end()}, {validation.begin(), validation.end()}});
  }
  return splits;
}

std::vector<std::string> remaining_ids(const CaseFinder& finder, const Json& rule) {
  std::vector<std::string> ids = finder.ids();
  const auto left_out = finder.find_all(rule.value("without", Json::array()));
  std::erase_if(ids, [&](const std::string& id) { return left_out.contains(id); });
  return ids;
}

}  // namespace

std::vector<std::vector<std::int64_t>> kfold_validation(std::int64_t cases) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(cases));
  std::iota(order.begin(), order.end(), 0);
  NumpyRandom(kSplitSeed).shuffle(order);
  std::vector<std::vector<std::int64_t>> folds;
  auto begin = order.begin();
  for (std::int64_t fold = 0; fold < kFolds; ++fold) {
    const auto end = begin + cases / kFolds + (fold < cases % kFolds ? 1 : 0);
    folds.emplace_back(begin, end);
    std::sort(folds.back().begin(), folds.back().end());
    begin = end;
  }
  return folds;
}

std::string patient_of(const SplitRules& rules, const std::string& case_id) {
  std::smatch match;
  if (rules.patient.empty() || !std::regex_match(case_id, match, std::regex(rules.patient)) || match.size() < 2)
    return case_id;
  return match[1];
}

std::vector<Split> folds_by_rule(const Dataset& dataset, const std::string& name, const Json& rule) {
  const CaseFinder finder(dataset, name, rule);
  const std::string kind = rule["rule"];
  if (kind == "lists") return listed_folds(finder, rule["folds"]);
  const std::vector<std::string> ids = remaining_ids(finder, rule);
  std::vector<std::string> groups = ids;
  if (kind != "kfold")
    for (std::string& group : groups) group = patient_of(dataset.split_rules, group);
  const std::set<std::string> unique(groups.begin(), groups.end());
  require_five(dataset, unique.size(), kind == "kfold" ? "training cases" : "patients");
  const std::vector<std::string> sorted(unique.begin(), unique.end());
  return folds_of_groups(
      ids, groups, kind == "interleaved_patients" ? interleaved_groups(sorted, rule["seed"]) : kfold_groups(sorted));
}

void check_split_rules(const std::string& where, const Json& rules) {
  const std::vector<std::string> keys = {"description", "rule", "seed", "without", "folds", "cases_by_number", "leak"};
  const std::vector<std::string> kinds = {"kfold", "kfold_patients", "interleaved_patients", "lists"};
  if (!rules.is_object()) throw UserError(where + ": 'splits' must be name → rule");
  for (const auto& [name, rule] : rules.items()) {
    if (!rule.is_object() || !rule.contains("description") || !rule.contains("rule"))
      throw UserError(where + ": split '" + name + "' needs 'description' and 'rule'");
    for (const auto& [key, value] : rule.items())
      if (std::find(keys.begin(), keys.end(), key) == keys.end())
        throw UserError(where + ": split '" + name + "': " + unknown_name_message("key", key, keys));
    const std::string kind = rule["rule"];
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
      throw UserError(where + ": split '" + name + "': " + unknown_name_message("rule", kind, kinds));
    if (rule.contains("folds") != (kind == "lists") || rule.contains("seed") != (kind == "interleaved_patients"))
      throw UserError(where + ": split '" + name + "': 'folds' belongs to lists, 'seed' to interleaved_patients");
  }
}

}  // namespace m3d
