// The suites, axes and recipes that are delivered: every one expands on embedded and on real data.
#include <unistd.h>

#include <filesystem>
#include <set>

#include "ablations/expand.h"
#include "architectures/registry.h"
#include "common/atomic_file.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

std::vector<RunConfig> expanded(const std::string& suite) {
  SuiteRequest request;
  request.suite = suite;
  request.datasets = {{"phantom_mri", true}, {"totalseg_mri", false}};
  return expand(request);
}

std::size_t to_do(const std::vector<RunConfig>& runs) {
  return static_cast<std::size_t>(
      std::count_if(runs.begin(), runs.end(), [](const RunConfig& run) { return run.skip_reason.empty(); }));
}

}  // namespace

TEST_CASE("every delivered suite expands") {
  for (const auto& name : suite_names()) {
    INFO(name);
    const auto runs = expanded(name);
    CHECK(load_suite(name, "test").name == name);
    CHECK(to_do(runs) >= 2);
  }
}

TEST_CASE("the suites ask the paper's questions") {
  CHECK(to_do(expanded("scanning")) == 2 * 6);
  CHECK(to_do(expanded("multiscale")) == 2 * (5 + 4));
  CHECK(to_do(expanded("architecture")) == 2 * 5);
  CHECK(to_do(expanded("cumulative")) == 2 * 4);
}

TEST_CASE("--recipe takes the place of a suite's recipe and leaves what the suite itself sets") {
  SuiteRequest request;
  request.suite = "efficiency";
  request.recipe = "taming_paper";
  request.datasets = {{"totalseg_mri", false}};
  const Json train = expand(request).front().settings["train"];
  CHECK(train["optimiser"] == "radam");
  CHECK(train["schedule"] == "linear");
  CHECK(train["epochs"] == 0);  // the suite's
  request.recipe = "segmamba";
  request.datasets = {{"phantom_mri", true}};
  CHECK(expand(request).front().settings["train"]["dice_weight"] == 0);
  request.recipe = "segmamb";
  CHECK_THROWS_WITH(expand(request), Catch::Contains("--recipe") && Catch::Contains("did you mean 'segmamba'"));
}

TEST_CASE("--recipe is laid below a suite that names no recipe") {
  const auto file = std::filesystem::temp_directory_path() / ("m3d-no-recipe-" + std::to_string(getpid()) + ".yaml");
  write_atomically(file, std::string_view("name: plain\ndescription: no recipe\nbase: {train: {epochs: 7}}\n"
                                          "architectures: [ulike_mamba_3d]\n"));
  SuiteRequest request;
  request.suite = file.string();
  request.recipe = "taming_paper";
  request.datasets = {{"totalseg_mri", false}};
  const Json train = expand(request).front().settings["train"];
  std::filesystem::remove(file);
  CHECK(train["optimiser"] == "radam");
  CHECK(train["epochs"] == 7);
}

TEST_CASE("on embedded datasets the embedded recipe replaces the other, of which nothing remains") {
  SuiteRequest request;
  request.suite = "scanning";
  request.datasets = {{"phantom_mri", true}};
  const Json embedded = expand(request).front().settings;
  CHECK(embedded["train"]["epochs"] == 18);
  CHECK(embedded["infer"]["mirror"] == false);
  CHECK(embedded["data"]["patch"] == Json({32, 64, 64}));
  const Suite suite = load_suite("scanning", "test");
  CHECK(suite.recipe.at("train.learning_rate").value == 1e-4);
  CHECK(suite.embedded_recipe.at("train.learning_rate").value == 8e-3);
  CHECK_FALSE(suite.base.contains("train.learning_rate"));
}

TEST_CASE("every axis's default is what the architectures it applies to have unless told otherwise") {
  for (const auto& axis : all_axes()) {
    INFO(axis.name);
    if (axis.name == "patch") continue;  // a setting, whose default is the dataset's plan
    std::set<std::string> defaults;
    for (const auto& name : architecture_names()) {
      const Architecture& architecture = find_architecture(name);
      if (!axis.applies_to(architecture)) continue;
      defaults.insert(axis.value_of(resolve_model(architecture, {}), Json::object()));
      for (const auto& value : axis.values) CHECK_NOTHROW(resolve_model(architecture, value.set));
    }
    CHECK(defaults.contains(axis.default_value));
  }
}
