// README's guide to adding an architecture, followed with its example: one folder, one registration, nothing else.
#include <algorithm>

#include "common/atomic_file.h"
#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

const fs::path kExample = fs::path(M3D_SOURCE_DIR) / "scripts/examples/two_convolutions";

Outcome run_well(const Workplace& place, const std::vector<std::string>& arguments) {
  const Outcome outcome = run(place, arguments);
  INFO(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  return outcome;
}

}  // namespace

TEST_CASE("the example of the guide is short") {
  const std::string text = read_file(kExample / "registration.cpp");
  CHECK(std::count(text.begin(), text.end(), '\n') < 80);
}

TEST_CASE("the example of the guide is listed, profiled and verified") {
  const Workplace place;
  const Json listed = run_well(place, {"list", "architectures", "--json"}).json();
  CHECK(listed.dump().find("\"two_convolutions\"") != std::string::npos);
  const Json profile =
      run_well(place, {"profile", "--architecture", "two_convolutions", "--set", "width=4", "--channels", "2",
                       "--classes", "3", "--patch", "4,8,12", "--measure", "--json"})
          .json();
  CHECK(profile.at("parameters") == 239);
  CHECK(profile.at("measured").at("training_step_seconds").at("median") > 0);
  const Outcome verified = run_well(place, {"verify", kExample / "record.json"});
  CHECK_THAT(verified.out, Contains("ok") && !Contains("FAIL"));
}

TEST_CASE("the example of the guide runs in a suite beside a delivered network and is in its report") {
  const Workplace place;
  run_well(place, {"--suite", "comparison", "--dataset", "phantom_mri", "--architecture", "two_convolutions",
                   "ulike_mamba_3d", "--set", "train.epochs=1", "train.iterations_per_epoch=2",
                   "train.validation_iterations=1", "data.max_cases=4", "data.max_validation_cases=1"});
  const auto records = files_under(place.path(), "record.json");
  REQUIRE(records.size() == 2);
  for (const auto& file : records) CHECK(Json::parse(read_file(file)).at("status") == "ok");
  const auto tables = files_under(place.path(), "tables/main.md");
  REQUIRE(tables.size() == 1);
  CHECK_THAT(read_file(tables.front()), Contains("Two convolutions") && Contains("UlikeMamba"));
}
