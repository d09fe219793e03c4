// Subcommands that need no training.
#include <algorithm>
#include <cmath>

#include "common/atomic_file.h"
#include "common/resources.h"
#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

const std::vector<std::string> kSubcommands = {"list",     "prepare", "profile", "evaluate", "predict",
                                               "ensemble", "report",  "verify",  "kernels"};

/// "ulike_mamba_3d_dual_rand_figdec" of the cost table as this program's arguments.
std::vector<std::string> arguments_of(std::string row) {
  row.resize(row.size() - std::string("_figdec").size());
  const std::map<std::string, std::string> variants = {{"ulike_mamba_3d_dual", "scan=dual"},
                                                       {"ulike_mamba_3d_dual_rand", "scan=dual_random"},
                                                       {"ulike_mamba_3d_dual_dwh", "scan=dual_dwh"},
                                                       {"ulike_mamba_3d_tri", "scan=tri"},
                                                       {"ulike_mamba_3d_msv4", "multiscale=msv4"}};
  const auto variant = variants.find(row);
  if (variant == variants.end()) return {"profile", "--architecture", row, "--json"};
  return {"profile", "--architecture", "ulike_mamba_3d", "--set", variant->second, "--json"};
}

}  // namespace

TEST_CASE("published costs stand beside counted ones, and those of the Ulike networks are reproduced") {
  const Workplace place;
  const Outcome outcome = run(place, {"profile", "--published", "csv"});
  INFO(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("UlikeMamba_3dMT") && Contains("MultiSegMamba") && Contains("yes"));
  CHECK(std::count(outcome.out.begin(), outcome.out.end(), '\n') > 20);
}

TEST_CASE("help is everywhere, with examples") {
  const Workplace place;
  const Outcome bare = run(place, {});
  CHECK(bare.exit_code == 0);
  CHECK_THAT(bare.out, Contains("Examples:") && Contains("--suite"));
  for (const auto& name : kSubcommands) {
    const Outcome help = run(place, {name, "--help"});
    INFO(name);
    CHECK(help.exit_code == 0);
    CHECK_THAT(help.out, Contains("Example"));
    CHECK(help.err.empty());
  }
}

TEST_CASE("the version names commit, LibTorch and ITK") {
  const Outcome version = run(Workplace(), {"--version"});
  CHECK(version.exit_code == 0);
  CHECK_THAT(version.out, Contains("commit") && Contains("LibTorch 2.") && Contains("ITK 5."));
}

TEST_CASE("list shows what exists, for people and for programs") {
  const Workplace place;
  const std::map<std::string, std::string> expected = {{"suites", "scanning"},
                                                       {"architectures", "ulike_mamba_3d"},
                                                       {"axes", "multiscale"},
                                                       {"datasets", "totalseg_mri"},
                                                       {"operators", "selective_scan"}};
  for (const auto& [what, name] : expected) {
    INFO(what);
    const Outcome plain = run(place, {"list", what});
    CHECK(plain.exit_code == 0);
    CHECK_THAT(plain.out, Contains(name));
    const Json list = run(place, {"list", what, "--json"}).json();
    const auto has_name = [&](const Json& entry) { return entry.at("name") == name; };
    CHECK(std::count_if(list.begin(), list.end(), has_name) == 1);
  }
}

TEST_CASE("a dry run shows the plan with costs and states and writes nothing") {
  const Workplace place;
  const std::vector<std::string> arguments = {"--suite", "scanning", "--dataset", "phantom_mri", "--dry-run"};
  const Outcome plain = run(place, arguments);
  INFO(plain.err);
  REQUIRE(plain.exit_code == 0);
  CHECK_THAT(plain.out, Contains("phantom_mri/ulike_mamba_3d-scan_tri-fold0-seed0") && Contains("6 runs: 6 new"));
  auto with_json = arguments;
  with_json.push_back("--json");
  const Json plan = run(place, with_json).json();
  REQUIRE(plan["runs"].size() == 6);
  for (const auto& entry : plan["runs"]) {
    CHECK(entry["hash"].get<std::string>().size() == 16);
    CHECK(entry["parameters"] > 0);
    CHECK(entry["macs"] > 0);
    CHECK(entry["state"] == "new");
  }
  CHECK(plan["totals"]["new"] == 6);
  CHECK_FALSE(fs::exists(place.path() / "m3d-results"));
}

TEST_CASE("--match gives every run of a suite the budget of one network") {
  const Workplace place;
  const std::vector<std::string> arguments = {"--suite",    "architecture", "--dataset",      "phantom_mri", "--match",
                                              "parameters", "--like",       "ulike_mamba_3d", "--dry-run"};
  auto with_json = arguments;
  with_json.push_back("--json");
  const Outcome outcome = run(place, with_json);
  INFO(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  for (const auto& entry : outcome.json()["runs"]) {
    INFO(entry.dump());
    CHECK(entry["match"]["like"] == "ulike_mamba_3d");
    CHECK(entry["match"]["reached"] == entry["parameters"]);
    CHECK(entry["parameters"].get<double>() == Approx(entry["match"]["target"].get<double>()).epsilon(0.02));
  }
  CHECK_THAT(run(place, arguments).out, Contains("matched") && Contains("for ulike_mamba_3d's"));
  CHECK_FALSE(fs::exists(place.path() / "m3d-results"));
}

TEST_CASE("a dry run shows what is left out and why") {
  const Json plan =
      run(Workplace(), {"--suite", "multiscale", "--dataset", "phantom_ct", "--dry-run", "--json"}).json();
  const auto skipped = [](const Json& entry) {
    return entry["state"] == "skipped" && entry["axes"]["multiscale"] == "msv4" &&
           entry["architecture"] == "ulike_trans_sra" &&
           entry["reason"].get<std::string>().find("Mamba") != std::string::npos;
  };
  CHECK(std::count_if(plan["runs"].begin(), plan["runs"].end(), skipped) == 1);
  CHECK(plan["totals"]["skipped"] == 1);
}

TEST_CASE("profile measures on request") {
  const Workplace place;
  const Outcome outcome = run(
      place, {"profile", "--architecture", "ulike_mamba_3d", "--set", "encoder_embed_dims=[8,8,16,16]",
              "stem_channels=8", "--patch", "32,32,32", "--measure", "--repeats", "2", "--json", "--trace", "t.json"});
  INFO(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  const Json measured = outcome.json()["measured"];
  CHECK(measured["training_step_seconds"]["least"] <= measured["training_step_seconds"]["median"]);
  CHECK(measured["training_step_seconds"]["median"] <= measured["training_step_seconds"]["most"]);
  CHECK(measured["inference_seconds"]["least"] > 0);
  const Json trace = Json::parse(read_file(place.path() / "t.json"));
  const auto is_scan = [](const Json& event) { return event.value("name", "") == "m3d::selective_scan_backward"; };
  CHECK(std::any_of(trace["traceEvents"].begin(), trace["traceEvents"].end(), is_scan));
}

TEST_CASE("profile says why it predicts no memory") {
  const Workplace place;
  const std::vector<std::string> small = {"profile", "--architecture", "ulike_mamba_3d",
                                          "--patch", "32,32,32",       "--json"};
  CHECK(run(place, small).json().contains("predicted_memory"));
  auto reduced = small;
  reduced.insert(reduced.end(), {"--precision", "bf16"});
  const Json costs = run(place, reduced).json();
  CHECK_FALSE(costs.contains("predicted_memory"));
  CHECK(costs.at("predicted_memory_absent") == "only steps in fp32 are predicted");
}

TEST_CASE("profile reproduces the published costs") {
  const fs::path table = reference_folder() / "costs_ulike.json";
  if (!fs::exists(table)) {
    WARN("skipped: " << table << " is not there");
    return;
  }
  const Workplace place;
  int compared = 0;
  const Json costs = Json::parse(read_file(table));
  for (const auto& row : costs["rows"]) {
    const std::string name = row["architecture"];
    if (!name.ends_with("_figdec")) continue;
    INFO(name);
    const Json ours = run(place, arguments_of(name)).json();
    CHECK(std::round(ours["parameters"].get<double>() / 1e3) == std::round(row["parameters_m"].get<double>() * 1e3));
    CHECK(ours["macs"]["convolution"] == row["macs_conv"]);
    CHECK(ours["macs"]["linear"].get<std::int64_t>() + ours["macs"]["attention"].get<std::int64_t>() ==
          row["macs_linear_and_attention"].get<std::int64_t>());
    CHECK(ours["scan_state_updates"] == row["scan_state_updates"]);
    ++compared;
  }
  CHECK(compared == 10);
}
