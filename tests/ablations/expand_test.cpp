#include "ablations/expand.h"

#include <set>

#include "common/atomic_file.h"
#include "common/error.h"
#include "tests/ablations/toy_architectures.h"
#include "tests/catch.h"

using namespace m3d;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using m3d::test::ToyData;

namespace {

SuiteRequest request_of(const std::string& suite) {
  SuiteRequest request;
  request.suite = suite;
  request.datasets = {{"real", false}};
  return request;
}

std::vector<std::string> names_of(const std::vector<RunConfig>& runs) {
  std::vector<std::string> names;
  for (const auto& run : runs) names.push_back(run.name + (run.skip_reason.empty() ? "" : " skipped"));
  return names;
}

std::string message_of(const SuiteRequest& request) {
  try {
    expand(request);
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

/// The message for the toy suite with one piece of its text replaced.
std::string message_with(const ToyData& data, const std::string& from, const std::string& to) {
  std::string text = m3d::test::kToySuite;
  text.replace(text.find(from), from.size(), to);
  return message_of(request_of(data.suite("broken", text)));
}

}  // namespace

TEST_CASE("a suite expands to the product of its axes with values in layers") {
  const ToyData data;
  const auto runs = expand(request_of("toy"));
  REQUIRE(names_of(runs) == std::vector<std::string>{"toy_mamba-fold0-seed0", "toy_mamba-scan_tri-fold0-seed0"});
  CHECK(runs[1].axes == Json{{"scan", "tri"}});
  CHECK(runs[1].model == Json{{"width", 8}, {"scan", "tri"}, {"merge", "mean"}});
  CHECK(runs[1].settings["train"]["epochs"] == 3);
  CHECK(runs[1].settings["train"]["learning_rate"] == 1e-3);
  CHECK(runs[1].settings["data"]["batch_size"] == 2);
}

TEST_CASE("embedded values apply to embedded datasets only, and --set comes last") {
  const ToyData data;
  SuiteRequest request = request_of("toy");
  request.datasets = {{"phantom", true}, {"real", false}};
  request.set = {"train.learning_rate=0.25", "model.merge=sum"};
  const auto runs = expand(request);
  REQUIRE(runs.size() == 4);
  CHECK(runs[0].model["width"] == 4);
  CHECK(runs[0].settings["train"]["epochs"] == 2);
  CHECK(runs[2].model["width"] == 8);
  CHECK(runs[2].settings["train"]["epochs"] == 3);
  for (const auto& run : runs) {
    CHECK(run.settings["train"]["learning_rate"] == 0.25);
    CHECK(run.model["merge"] == "sum");
  }
}

TEST_CASE("folds, seeds and datasets multiply; a whole comparison comes before the next seed") {
  const ToyData data;
  SuiteRequest request = request_of("toy");
  request.folds = {0, kFoldEverything};
  request.seeds = {0, 7};
  const auto runs = expand(request);
  for (std::size_t i = 0; i < runs.size(); ++i) CHECK(runs[i].position == static_cast<int>(i % 2));
  REQUIRE(runs.size() == 8);
  CHECK(names_of(runs)[1] == "toy_mamba-scan_tri-fold0-seed0");
  CHECK(names_of(runs)[2] == "toy_mamba-fold0-seed7");
  CHECK(names_of(runs)[7] == "toy_mamba-scan_tri-everything-seed7");
  std::set<std::string> folders;
  for (const auto& run : runs) folders.insert(run.folder_name());
  CHECK(folders.size() == 8);
}

TEST_CASE("an axis that does not apply to an architecture does not multiply it") {
  const ToyData data;
  SuiteRequest request = request_of("toy");
  request.architectures = {"toy_*"};
  const auto runs = expand(request);
  REQUIRE(names_of(runs) ==
          std::vector<std::string>{"toy_cnn-fold0-seed0", "toy_mamba-fold0-seed0", "toy_mamba-scan_tri-fold0-seed0"});
  CHECK(runs[0].axes == Json::object());
}

TEST_CASE("--axis replaces values, adds axes, and 'default' records the value it stands for") {
  const ToyData data;
  SuiteRequest request = request_of("toy");
  request.axes = {"scan=default", "speed=[slow,fast]"};
  const auto runs = expand(request);
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].axes == Json{{"scan", "single"}, {"speed", "slow"}});
  CHECK(runs[0].settings["train"]["learning_rate"] == 0.5);
  CHECK(runs[1].settings["train"]["learning_rate"] == 2.0);
  CHECK(runs[1].model["merge"] == "sum");
}

TEST_CASE("one hash has one name and runs once") {
  const ToyData data;
  SuiteRequest request = request_of("toy");
  request.axes = {"scan=[single,default,tri]"};
  const auto runs = expand(request);
  REQUIRE(runs.size() == 3);
  CHECK(runs[0].hash() == runs[1].hash());
  CHECK(runs[0].folder_name() == runs[1].folder_name());
  CHECK(runs[0].skip_reason.empty());
  CHECK_THAT(runs[1].skip_reason, Contains("same as " + runs[0].name));
}

TEST_CASE("names show the values of axes that set settings or several options, unless others tell them") {
  const ToyData data;
  SuiteRequest request = request_of("toy");
  request.axes = {"scan=single", "speed=[slow,fast]"};
  CHECK(names_of(expand(request)) ==
        std::vector<std::string>{"toy_mamba-fold0-seed0", "toy_mamba-speed_fast-fold0-seed0"});
  data.write("ablations/axes/reading.yaml", R"(name: reading
description: Two options at once.
default: plain
architectures: [toy_mamba]
values:
  - {value: plain, set: {model.scan: single, model.merge: mean}}
  - {value: rich, set: {model.scan: tri, model.merge: sum}}
)");
  request = request_of(data.suite("reading",
                                  "name: reading\ndescription: Steps.\naxes: {reading: [plain, rich]}\n"
                                  "architectures: [toy_mamba]\n"));
  CHECK(names_of(expand(request))[1] == "toy_mamba-reading_rich-scan_tri-fold0-seed0");
  data.write("ablations/axes/merge.yaml",
             "name: merge\ndescription: Of orders.\ndefault: mean\narchitectures: [toy_mamba]\n"
             "values: [{value: mean}, {value: sum}]\n");
  CHECK(names_of(expand(request))[1] == "toy_mamba-merge_sum-scan_tri-fold0-seed0");
}

TEST_CASE("a budget changes widths before runs are known by their hash") {
  const ToyData data;
  SuiteRequest request = request_of("toy");
  request.architectures = {"toy_mamba"};
  request.set = {"model.width=12"};
  const auto plain = expand(request);
  std::vector<RunConfig> likes;
  request.budget = BudgetRequest{"toy_cnn", [&](RunConfig& run, const RunConfig& like) {
                                   likes.push_back(like);
                                   run.model["width"] = 5;
                                   run.match = {{"like", like.architecture}};
                                 }};
  const auto runs = expand(request);
  REQUIRE(runs.size() == 2);
  CHECK(names_of(runs) == names_of(plain));
  CHECK(runs[1].model == Json{{"width", 5}, {"scan", "tri"}, {"merge", "mean"}});
  CHECK(runs[1].hash() != plain[1].hash());
  CHECK(likes[1].architecture == "toy_cnn");
  CHECK(likes[1].model == Json{{"width", 12}});
  CHECK(likes[1].settings == runs[1].settings);
  CHECK(RunConfig::from_json(runs[1].to_json(), "config.yaml").match == runs[1].match);
  CHECK_FALSE(plain[1].to_json().contains("match"));
  request.budget->like = "toy_cn";
  CHECK_THAT(message_of(request), Contains("did you mean 'toy_cnn'"));
}

TEST_CASE("exclusions appear as skipped runs with their reason") {
  const ToyData data;
  const auto file =
      data.suite("excluding", std::string(m3d::test::kToySuite) +
                                  "exclude:\n  - match: {architecture: toy_m*, scan: [tri]}\n    reason: too slow\n");
  const auto runs = expand(request_of(file));
  REQUIRE(names_of(runs) ==
          std::vector<std::string>{"toy_mamba-fold0-seed0", "toy_mamba-scan_tri-fold0-seed0 skipped"});
  CHECK(runs[1].skip_reason == "too slow");
}

TEST_CASE("shards are disjoint and together whole") {
  const ToyData data;
  SuiteRequest request = request_of("toy");
  request.seeds = {0, 1, 2};
  std::multiset<std::string> together, all;
  for (const auto& run : expand(request)) all.insert(run.folder_name());
  request.shards = 4;
  for (request.shard = 1; request.shard <= 4; ++request.shard)
    for (const auto& run : expand(request)) together.insert(run.folder_name());
  CHECK(all.size() == 6);
  CHECK(together == all);
  request.shard = 5;
  CHECK_THAT(message_of(request), Contains("--shard"));
}

TEST_CASE("extends inherits, own keys win, circles are errors") {
  const ToyData data;
  const auto child =
      data.suite("child", "name: child\nextends: toy\nbase: {train: {epochs: 9}}\naxes: {scan: [tri]}\n");
  const auto runs = expand(request_of(child));
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].suite == "child");
  CHECK(runs[0].settings["train"]["epochs"] == 9);
  CHECK(runs[0].model["width"] == 8);
  data.suite("a", "name: a\nextends: b.yaml\n");
  data.suite("b", "name: b\nextends: a.yaml\n");
  CHECK_THAT(message_of(request_of(data.suite("a", "name: a\nextends: b.yaml\n"))),
             Contains("b.yaml:2") && Contains("circle"));
}

TEST_CASE("names that do not exist suggest the nearest, with file and line") {
  const ToyData data;
  CHECK_THAT(message_of(request_of("toi")), Contains("--suite") && Contains("unknown suite 'toi'; did you mean 'toy'"));
  CHECK_THAT(message_of(request_of("nowhere.yaml")), Contains("no such file") && Contains("nowhere.yaml"));
  CHECK_THAT(message_with(data, "scan: [single", "sacn: [single"),
             Contains("broken.yaml:8") && Contains("unknown axis 'sacn'; did you mean 'scan'"));
  CHECK_THAT(message_with(data, "single, tri", "single, tir"),
             Contains("broken.yaml:8") && Contains("did you mean 'tri'"));
  CHECK_THAT(message_with(data, "toy_mamba]", "toy_mmaba]"),
             Contains("broken.yaml:9") && Contains("did you mean 'toy_mamba'"));
  CHECK_THAT(message_with(data, "recipe: short", "recipe: shrot"),
             Contains("broken.yaml:4") && Contains("did you mean 'short'"));
  CHECK_THAT(message_with(data, "architectures:", "architecture:"),
             Contains("broken.yaml:9") && Contains("did you mean 'architectures'"));
  CHECK_THAT(message_with(data, "{width: 8}", "{widht: 8}"),
             Contains("broken.yaml:5") && Contains("did you mean 'width'"));
  CHECK_THAT(message_with(data, "epochs: 2", "epoch: 2"),
             Contains("broken.yaml:6") && Contains("did you mean 'train.epochs'"));
  CHECK_THAT(message_with(data, "embedded:", "embeded:"),
             Contains("broken.yaml:6") && Contains("did you mean 'embedded'"));
}

TEST_CASE("wrong types, duplicates and contradictions in a suite are errors with file and line") {
  const ToyData data;
  CHECK_THAT(message_with(data, "{width: 8}", "{width: wide}"), Contains("broken.yaml:5") && Contains("an integer"));
  CHECK_THAT(message_with(data, "epochs: 2", "epochs: many"), Contains("broken.yaml:6") && Contains("an integer"));
  CHECK_THAT(message_with(data, "[single, tri]", "tri"), Contains("broken.yaml:8") && Contains("a list"));
  CHECK_THAT(message_with(data, "[single, tri]", "[tri, tri]"), Contains("broken.yaml:8") && Contains("twice"));
  CHECK_THAT(message_with(data, "name: toy", "name: ../toy"), Contains("broken.yaml:1") && Contains("folder"));
  CHECK_THAT(message_with(data, "name: toy", "name: toy\nname: toy"), Contains("broken.yaml:2") && Contains("twice"));
  CHECK_THAT(message_with(data, "[single, tri]", "[single, tri"),
             Contains("broken.yaml:") && Contains("not valid YAML"));
  CHECK_THAT(message_with(data, "architectures: [toy_mamba]", "architectures: [toy_cnn]"), Contains("applies to none"));
  CHECK_THAT(message_with(data, "{width: 8}", "{width: 8}\n  data: {patch: [1, 2]}"),
             Contains("broken.yaml:6") && Contains("three sizes"));
}

TEST_CASE("flags that cannot be are errors that name the flag") {
  const ToyData data;
  const auto message = [](auto change) {
    SuiteRequest request = request_of("toy");
    change(request);
    return message_of(request);
  };
  using R = SuiteRequest;
  CHECK_THAT(message([](R& r) { r.architectures = {"toy_cn"}; }),
             Contains("--architecture") && Contains("did you mean 'toy_cnn'"));
  CHECK_THAT(message([](R& r) { r.axes = {"scan=[tir]"}; }), Contains("--axis") && Contains("did you mean 'tri'"));
  CHECK_THAT(message([](R& r) { r.axes = {"scna=[tri]"}; }), Contains("--axis") && Contains("did you mean 'scan'"));
  CHECK_THAT(message([](R& r) { r.axes = {"scan"}; }), Contains("--axis scan") && Contains("NAME=[a,b]"));
  CHECK_THAT(message([](R& r) { r.axes = {"scan=tri", "scan=single"}; }), Contains("twice"));
  CHECK_THAT(message([](R& r) { r.set = {"train.epoch=3"}; }),
             Contains("--set") && Contains("did you mean 'train.epochs'"));
  CHECK_THAT(message([](R& r) { r.set = {"model.mrege=sum"}; }), Contains("--set") && Contains("did you mean 'merge'"));
  CHECK_THAT(message([](R& r) { r.set = {"train.epochs=x"}; }), Contains("--set") && Contains("an integer"));
  CHECK_THAT(message([](R& r) { r.set = {"train.epochs"}; }), Contains("key=value"));
  CHECK_THAT(message([](R& r) { r.set = {"scan=tri"}; }), Contains("--set model.scan") && Contains("--axis scan"));
}

TEST_CASE("data.plan: nnU-Net's on real datasets, none on embedded ones, a file by its content") {
  const ToyData data;
  SuiteRequest request = request_of("toy");
  request.datasets = {{"phantom", true}, {"real", false}};
  request.set = {"data.batch_size=0"};
  const auto runs = expand(request);
  CHECK(runs.front().settings["data"]["plan"] == "none");
  CHECK(runs.front().settings["data"]["batch_size"] == 2);
  CHECK_FALSE(runs.front().identity()["settings"]["data"].contains("plan"));
  CHECK(runs.back().settings["data"]["plan"] == "plain");
  CHECK(runs.back().settings["data"]["batch_size"] == 0);
  CHECK(runs.back().identity()["settings"]["data"]["configuration"] == "3d_fullres");

  const auto hash_with = [&](const std::string& setting) {
    request.set = {"data.batch_size=0", setting};
    return expand(request).back().hash();
  };
  const auto file = data.folder() / "plans.json";
  write_atomically(file, "{}");
  write_atomically(data.folder() / "same.json", "{}");
  const std::string of_file = hash_with("data.plan=" + file.string());
  CHECK(of_file == hash_with("data.plan=" + (data.folder() / "same.json").string()));
  CHECK(of_file != runs.back().hash());
  write_atomically(file, "{\"changed\": true}");
  CHECK(of_file != hash_with("data.plan=" + file.string()));

  const auto message = [&](const std::vector<std::string>& set) {
    request.set = set;
    return message_of(request);
  };
  CHECK_THAT(message({"data.plan=resenc_k"}), Contains("data.plan") && Contains("resenc_l"));
  CHECK_THAT(message({"data.plan=nowhere.json"}), Contains("nowhere.json: no such file"));
  CHECK_THAT(message({"data.plan=" + file.string(), "data.plan_hash=\"0\""}), Contains("has the hash"));
  CHECK_THAT(message({"data.plan_hash=\"0\""}), Contains("without a plans file"));
}
