#include "datasets/catalogue/splits.h"

#include <map>
#include <set>

#include "common/resources.h"
#include "datasets/catalogue/dataset_json.h"
#include "datasets/numerics/numpy_random.h"
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

namespace {

/// A described dataset with the given cases.
Dataset described(const std::string& name, const std::vector<std::string>& ids, const fs::path& folder) {
  Dataset dataset = describe_dataset(name, {});
  dataset.folder = folder;
  for (const std::string& id : ids) dataset.training.push_back({id, {}, {}});
  return dataset;
}

std::string numbered(const char* form, int number) {
  char text[64];
  std::snprintf(text, sizeof text, form, number);
  return text;
}

std::vector<std::string> acdc_ids() {
  std::vector<std::string> ids;
  for (int patient = 1; patient <= 100; ++patient)
    for (const char* frame : {"_frame01", "_frame12"}) ids.push_back(numbered("patient%03d", patient) + frame);
  return ids;
}

std::set<std::string> patients(const Dataset& dataset, const std::vector<std::string>& ids) {
  std::set<std::string> found;
  for (const auto& id : ids) found.insert(patient_of(dataset.split_rules, id));
  return found;
}

}  // namespace

TEST_CASE("ACDC: patients stay together, in the folds of nnU-Net's converter") {
  const TemporaryFolder folder;
  const Dataset dataset = described("acdc", acdc_ids(), folder.path);
  const fs::path facts = reference_folder() / "datasets.json";
  for (int fold = 0; fold < 5; ++fold) {
    const Split split = split_of(dataset, fold);
    CHECK(split.name == "patients");
    CHECK(split.training.size() == 160);
    CHECK(split.validation.size() == 40);
    CHECK(split.leaking_patients.empty());
    const auto validation = patients(dataset, split.validation);
    CHECK(validation.size() == 20);
    if (fold == 0) CHECK(validation.contains("patient041"));
    if (!fs::exists(facts)) continue;
    const Json expected =
        read_json(facts)["ACDC"]["nnunet_official_split"]["val_patients_per_fold"][static_cast<std::size_t>(fold)];
    CHECK(validation == expected.get<std::set<std::string>>());
  }
}

TEST_CASE("ACDC: Taming Mambas' folds are there by name, and their leak is told") {
  const TemporaryFolder folder;
  const Dataset dataset = described("acdc", acdc_ids(), folder.path);
  const Split split = split_of(dataset, 0, "taming_mambas");
  CHECK(split.training.size() + split.validation.size() == 160);
  CHECK_FALSE(patients(dataset, split.training).contains("patient002"));  // one of the 20 test patients
  CHECK_FALSE(split.leaking_patients.empty());
  CHECK_THAT(split.leak, Contains("both sides"));
  CHECK(split.hash != split_of(dataset, 1, "taming_mambas").hash);
  CHECK(split.hash == split_of(dataset, 0, "taming_mambas").hash);

  // the same lists in a file without a word about the leak
  write_atomically(folder.path / "splits_final.json",
                   Json::array({{{"train", split.training}, {"val", split.validation}}}).dump());
  CHECK_THAT(error_of([&] { split_of(dataset, 0); }), Contains("splits_final.json") && Contains("on both sides") &&
                                                          Contains("data.split=patients") &&
                                                          Contains("data.split=taming_mambas"));
  CHECK_THAT(error_of([&] { split_of(dataset, 0, "nnunet"); }), Contains("on both sides"));
  CHECK(split_of(dataset, 0, "taming_mambas").hash == split.hash);  // a name wins over the file
}

TEST_CASE("time points of a patient stay together; one a patient gives nnU-Net's own folds") {
  const TemporaryFolder folder;
  std::vector<std::string> single, several;
  for (int patient = 0; patient < 23; ++patient) {
    single.push_back(numbered("BraTS-GLI-%05d-000", patient));
    several.push_back(single.back());
    if (patient % 3 == 0) several.push_back(numbered("BraTS-GLI-%05d-001", patient));
  }
  const Dataset one = described("brats23", single, folder.path), more = described("brats23", several, folder.path);
  std::size_t validated = 0;
  for (int fold = 0; fold < 5; ++fold) {
    CHECK(split_of(one, fold).hash == split_of(one, fold, "nnunet").hash);
    const Split split = split_of(more, fold);
    validated += split.validation.size();
    for (const auto& patient : patients(more, split.validation))
      CHECK_FALSE(patients(more, split.training).contains(patient));
  }
  CHECK(validated == several.size());
}

TEST_CASE("Synapse: the published 18 and 12, whatever the cases are called") {
  const TemporaryFolder folder;
  for (const char* form : {"img%04d", "abdomen_%03d"}) {
    std::vector<std::string> ids;
    for (int number = 1; number <= 40; ++number)
      if (number <= 10 || number > 20) ids.push_back(numbered(form, number));
    const Dataset dataset = described("synapse", ids, folder.path);
    const Split transunet = split_of(dataset, 0, "transunet");
    CHECK(transunet.training.size() == 18);
    CHECK(transunet.validation.size() == 12);
    CHECK(transunet.training.front() == numbered(form, 5));
    CHECK(transunet.validation.back() == numbered(form, 38));
    CHECK_THAT(error_of([&] { split_of(dataset, 1, "transunet"); }), Contains("folds 0 to 0"));
    std::set<std::string> used;
    for (int fold = 0; fold < 5; ++fold) {
      const Split split = split_of(dataset, fold, "taming_mambas");
      CHECK(split.training.size() + split.validation.size() == 18);
      used.insert(split.validation.begin(), split.validation.end());
    }
    CHECK(used.size() == 18);
    CHECK_FALSE(used.contains(numbered(form, 29)));
  }
  const Dataset part = described("synapse", {"img0001", "img0005", "img0006", "img0007", "img0009"}, folder.path);
  CHECK_THAT(error_of([&] { split_of(part, 0, "transunet"); }), Contains("needs the whole dataset"));
  CHECK_THAT(error_of([&] { split_of(part, 0, "transunett"); }), Contains("did you mean 'transunet'"));
  CHECK_NOTHROW(split_of(part, 0));
}

TEST_CASE("rules of splits with mistakes are refused") {
  const auto check = [](const std::string& text) {
    return error_of([&] { check_split_rules("d.yaml:4", Json::parse(text)); });
  };
  CHECK(check(R"({"a": {"description": "", "rule": "kfold", "without": ["x"]}})").empty());
  CHECK_THAT(check(R"({"a": {"rule": "kfold"}})"), Contains("d.yaml:4") && Contains("'description'"));
  CHECK_THAT(check(R"({"a": {"description": "", "rule": "kfolds"}})"), Contains("did you mean 'kfold'"));
  CHECK_THAT(check(R"({"a": {"description": "", "rule": "kfold", "with": 1}})"), Contains("unknown key 'with'"));
  CHECK_THAT(check(R"({"a": {"description": "", "rule": "lists"}})"), Contains("'folds' belongs to lists"));
}
