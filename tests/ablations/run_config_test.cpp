#include "ablations/run_config.h"

#include "common/error.h"
#include "tests/catch.h"

using namespace m3d;
using Catch::Matchers::Contains;

namespace {

RunConfig example() {
  RunConfig run;
  run.suite = "scanning";
  run.dataset = "phantom_mri";
  run.architecture = "ulike_mamba_3d";
  run.name = "ulike_mamba_3d-scan_tri-fold0-seed3";
  run.axes = {{"scan", "tri"}};
  run.model = {{"scan", "tri"}, {"width", 8}};
  run.settings = nest_settings(settings_schema().resolve(Json::object(), [](const std::string&) { return ""; }));
  run.seed = 3;
  run.position = 5;
  return run;
}

}  // namespace

TEST_CASE("a run's configuration survives config.yaml") {
  const RunConfig run = example();
  const Json yaml = YamlDocument::parse(to_yaml(run.to_json()), "config.yaml").root();
  const RunConfig back = RunConfig::from_json(yaml, "config.yaml");
  CHECK(back.to_json() == run.to_json());
  CHECK(back.hash() == run.hash());
  CHECK(back.folder_name() == run.name + "-" + run.hash().substr(0, 8));
}

TEST_CASE("the hash follows what decides a result") {
  const RunConfig run = example();
  const auto changed = [&](auto change) {
    RunConfig other = run;
    change(other);
    return other.hash() != run.hash();
  };
  CHECK(changed([](RunConfig& r) { r.seed = 4; }));
  CHECK(changed([](RunConfig& r) { r.fold = 1; }));
  CHECK(changed([](RunConfig& r) { r.dataset = "phantom_ct"; }));
  CHECK(changed([](RunConfig& r) { r.architecture = "ulike_mamba_1d"; }));
  CHECK(changed([](RunConfig& r) { r.precision = "bf16"; }));
  CHECK(changed([](RunConfig& r) { r.model["width"] = 9; }));
  CHECK(changed([](RunConfig& r) { r.settings["data"]["patch"] = {32, 64, 64}; }));
  CHECK(changed([](RunConfig& r) { r.settings["train"]["learning_rate"] = 0.5; }));
  CHECK(changed([](RunConfig& r) { r.settings["infer"]["overlap"] = 0.25; }));
  CHECK_FALSE(changed([](RunConfig& r) { r.settings["profile"]["repeats"] = 99; }));
  CHECK_FALSE(changed([](RunConfig& r) { r.settings["train"]["checkpoint_every_steps"] = 1; }));
  CHECK(changed([](RunConfig& r) { r.settings["data"]["previous_stage"] = {"/runs"}; }));
  CHECK_FALSE(changed([](RunConfig& r) { r.settings["data"].erase("previous_stage"); }));
  CHECK_FALSE(changed([](RunConfig& r) { r.suite = "another"; }));
  CHECK_FALSE(changed([](RunConfig& r) { r.device = "cuda"; }));
  CHECK_FALSE(changed([](RunConfig& r) { r.position = 5; }));
}

TEST_CASE("the hash does not follow the order of keys") {
  RunConfig run = example();
  const std::string before = run.hash();
  run.model = {{"width", 8}, {"scan", "tri"}};
  CHECK(run.hash() == before);
}

TEST_CASE("a damaged config.yaml is a user error that names the key") {
  Json json = example().to_json();
  json["sede"] = 3;
  REQUIRE_THROWS_WITH(RunConfig::from_json(json, "config.yaml"),
                      Contains("config.yaml") && Contains("did you mean 'seed'"));
  json = example().to_json();
  json.erase("fold");
  REQUIRE_THROWS_WITH(RunConfig::from_json(json, "config.yaml"), Contains("'fold' is missing"));
  json = example().to_json();
  json["fold"] = "zero";
  REQUIRE_THROWS_WITH(RunConfig::from_json(json, "config.yaml"), Contains("'fold' has a wrong type"));
  json = example().to_json();
  json["settings"]["train"]["epochs"] = -1;
  REQUIRE_THROWS_WITH(RunConfig::from_json(json, "config.yaml"), Contains("train.epochs") && Contains("out of range"));
}

TEST_CASE("every default of a setting passes its own check") {
  for (const auto& spec : settings_schema().specs()) {
    INFO(spec.name);
    CHECK_FALSE(spec.description.empty());
    CHECK_NOTHROW(settings_schema().check(spec.name, spec.default_value, "default"));
  }
}
