#include "datasets/splits.h"

#include <set>

#include "datasets/dataset_json.h"
#include "datasets/numpy_random.h"
#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

const fs::path kRecords = fs::path(M3D_SOURCE_DIR) / "tests" / "records" / "pipeline";

template <class T>
std::vector<T> first(std::vector<T> values, std::size_t count) {
  values.resize(std::min(values.size(), count));
  return values;
}

Dataset dataset_of(std::size_t cases, const fs::path& folder) {
  Dataset dataset;
  dataset.name = "many";
  dataset.folder = folder;
  for (std::size_t i = 0; i < cases; ++i) dataset.training.push_back({"case_" + std::to_string(100 + i), {}, {}});
  return dataset;
}

}  // namespace

TEST_CASE("numpy's generator, shuffle and choice are reproduced") {
  const Json record = read_json(kRecords / "numpy_rng.json");
  for (const auto& [seed, key] :
       {std::pair(1234U, "first_8_u32_seed_1234"), std::pair(12345U, "first_8_u32_seed_12345")}) {
    NumpyRandom random(seed);
    for (const std::uint32_t expected : record[key]) CHECK(random.next() == expected);
  }
  for (const Json& item : record["cases"]) {
    const auto seed = item["seed"].get<std::uint32_t>();
    const auto n = item["n"].get<std::int64_t>();
    INFO("seed " << seed << ", n " << n);
    CHECK(NumpyRandom(seed).choice_with_replacement(n, 12) ==
          item["choice_with_replacement_12"].get<std::vector<std::int64_t>>());
    CHECK(first(NumpyRandom(seed).choice_without_replacement(n, n), 20) ==
          item["shuffled_first_20"].get<std::vector<std::int64_t>>());
    const auto chosen = item["choice_without_replacement"].get<std::vector<std::int64_t>>();
    CHECK(NumpyRandom(seed).choice_without_replacement(n, std::ssize(chosen)) == chosen);
  }
}

TEST_CASE("the folds are nnU-Net's") {
  const Json record = read_json(kRecords / "splits.json");
  for (const auto& [key, expected] : record["val_indices"].items()) {
    INFO(key);
    const auto folds = kfold_validation(std::stoll(key));
    REQUIRE(folds.size() == 5);
    if (key.find("fold0") == std::string::npos)
      CHECK(folds == expected.get<std::vector<std::vector<std::int64_t>>>());
    else
      CHECK(first(folds[0], 20) == expected.get<std::vector<std::int64_t>>());
  }
}

TEST_CASE("each case is validated in exactly one fold and never trained on in it") {
  const TemporaryFolder folder;
  const Dataset dataset = dataset_of(23, folder.path);
  std::multiset<std::string> validated;
  for (int fold = 0; fold < 5; ++fold) {
    const Split split = split_of(dataset, fold);
    CHECK(split.training.size() + split.validation.size() == 23);
    validated.insert(split.validation.begin(), split.validation.end());
    for (const auto& id : split.validation)
      CHECK_FALSE(std::binary_search(split.training.begin(), split.training.end(), id));
  }
  CHECK(validated.size() == 23);
  CHECK(std::set<std::string>(validated.begin(), validated.end()).size() == 23);
  const Split everything = split_of(dataset, -1);
  CHECK(everything.training.size() == 23);
  CHECK(everything.validation == everything.training);
}

TEST_CASE("folds that do not exist and datasets too small for folds are refused") {
  const TemporaryFolder folder;
  CHECK_THAT(error_of([&] { split_of(dataset_of(8, folder.path), 5); }), Contains("--fold 5") && Contains("0 to 4"));
  CHECK_THAT(error_of([&] { split_of(dataset_of(4, folder.path), 0); }), Contains("--fold everything"));
  CHECK(split_of(dataset_of(4, folder.path), -1).training.size() == 4);
}

TEST_CASE("splits_final.json wins and is checked") {
  const TemporaryFolder folder;
  const Dataset dataset = dataset_of(4, folder.path);
  const auto store = [&](const std::string& text) {
    write_atomically(folder.path / "splits_final.json", std::string_view(text));
  };
  store(R"([{"train": ["case_102", "case_100"], "val": ["case_103"]}])");
  const Split split = split_of(dataset, 0);
  CHECK(split.training == std::vector<std::string>{"case_100", "case_102"});
  CHECK(split.validation == std::vector<std::string>{"case_103"});
  CHECK_THAT(error_of([&] { split_of(dataset, 1); }), Contains("splits_final.json") && Contains("0 to 0"));
  store(R"([{"train": ["case_102"], "val": ["case_109"]}])");
  CHECK_THAT(error_of([&] { split_of(dataset, 0); }), Contains("fold 0") && Contains("case_109"));
  store(R"([{"train": ["case_102", "case_103"], "val": ["case_103"]}])");
  CHECK_THAT(error_of([&] { split_of(dataset, 0); }), Contains("case_103") && Contains("both sides"));
  store(R"([{"train": ["case_102"]}])");
  CHECK_THAT(error_of([&] { split_of(dataset, 0); }), Contains("'train' and 'val'"));
  store("[");
  CHECK_THAT(error_of([&] { split_of(dataset, 0); }), Contains("splits_final.json:1") && Contains("not valid JSON"));
}
