#include "datasets/splits.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <set>

#include "common/error.h"
#include "datasets/dataset.h"
#include "datasets/dataset_json.h"
#include "datasets/numpy_random.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kFolds = 5;
constexpr std::uint32_t kSplitSeed = 12345;

std::vector<std::string> case_ids(const Dataset& dataset) {
  std::vector<std::string> ids;
  for (const auto& files : dataset.training) ids.push_back(files.id);
  return ids;
}

/// splits_final.json beside dataset.json or where nnU-Net itself keeps it; empty where there is none.
fs::path stored_splits(const Dataset& dataset) {
  const fs::path beside = dataset.folder / "splits_final.json";
  if (fs::is_regular_file(beside)) return beside;
  const char* preprocessed = std::getenv("nnUNet_preprocessed");
  if (preprocessed == nullptr || *preprocessed == '\0') return {};
  const fs::path central = fs::path(preprocessed) / dataset.folder.filename() / "splits_final.json";
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

std::vector<Split> read_splits(const fs::path& file, const std::vector<std::string>& ids) {
  const Json json = read_json(file);
  if (!json.is_array() || json.empty())
    throw UserError(file.string() + R"(: expected a list of folds, [{"train": […], "val": […]}, …])");
  const std::set<std::string> known(ids.begin(), ids.end());
  std::vector<Split> splits;
  for (std::size_t i = 0; i < json.size(); ++i)
    splits.push_back(parse_split(json[i], known, file.string() + ": fold " + std::to_string(i)));
  return splits;
}

std::vector<Split> standard_splits(const Dataset& dataset, const std::vector<std::string>& ids) {
  const auto cases = static_cast<std::int64_t>(ids.size());
  if (cases < kFolds)
    throw UserError("dataset '" + dataset.name + "' has " + std::to_string(cases) +
                    " training cases, too few for five folds; use --fold everything, or give a splits_final.json in " +
                    dataset.folder.string());
  std::vector<Split> splits;
  for (const auto& validation : kfold_validation(cases)) {
    Split split;
    for (std::int64_t i = 0; i < cases; ++i) {
      const bool held_out = std::binary_search(validation.begin(), validation.end(), i);
      (held_out ? split.validation : split.training).push_back(ids[static_cast<std::size_t>(i)]);
    }
    splits.push_back(std::move(split));
  }
  return splits;
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

Split split_of(const Dataset& dataset, int fold) {
  const std::vector<std::string> ids = case_ids(dataset);
  if (fold == -1) return {ids, ids};
  const fs::path stored = stored_splits(dataset);
  const std::vector<Split> splits = stored.empty() ? standard_splits(dataset, ids) : read_splits(stored, ids);
  if (fold < 0 || fold >= static_cast<int>(splits.size()))
    throw UserError("--fold " + std::to_string(fold) + " does not exist: " +
                    (stored.empty() ? "dataset '" + dataset.name + "'" : stored.string()) + " has folds 0 to " +
                    std::to_string(splits.size() - 1) + "; choose one of them, or --fold everything");
  return splits[static_cast<std::size_t>(fold)];
}

}  // namespace m3d
