#include "tests/reports/report_checks.h"

namespace fs = std::filesystem;
using namespace m3d;
using namespace m3d::testing;

TEST_CASE("the efficiency table shows every patch, and what was known of a run that did not fit") {
  const TemporaryFolder temporary("efficiency_table");
  write_runs(temporary.path(), patch_suite());
  write_report({temporary.path()}, temporary.path() / "report", {"latex", "markdown", "csv"});
  for (const char* ending : {".tex", ".md", ".csv"})
    check_approved(std::string("efficiency_patches") + ending,
                   read_file(temporary.path() / "report/tables/efficiency" += ending));
}

TEST_CASE("without profiles there is no efficiency table") {
  const TemporaryFolder temporary("efficiency_none");
  const SyntheticRun run;
  const fs::path folder = write_run(temporary.path(), run);
  Json record = record_of(run);
  record.erase("profile");
  write_atomically(folder / "record.json", record.dump());
  write_report({temporary.path()}, temporary.path() / "report", {"markdown"});
  CHECK_FALSE(fs::exists(temporary.path() / "report/tables/efficiency.md"));
}

TEST_CASE("costs are drawn against the patch, with those that did not fit") {
  const TemporaryFolder temporary("efficiency_figures");
  write_runs(temporary.path(), patch_suite());
  write_report({temporary.path()}, temporary.path() / "report", {"svg"});
  const fs::path figures = temporary.path() / "report/figures";
  for (const char* name : {"efficiency_time", "efficiency_memory", "efficiency_macs"}) {
    const std::string svg = read_file(figures / (name + std::string(".svg")));
    for (const char* part : {"OOM", "linear", "quadratic", "128³", "UlikeTrans_vanilla", "#D55E00"})
      CHECK((contains(svg, part) || contains(read_file(figures / (name + std::string(".gp"))), part)));
  }
  const std::string time = read_file(figures / "efficiency_time.csv");
  CHECK(contains(time, "\"UlikeMamba_3d\",128×128×128,2097152,2.72628,ok,2.72628\n"));
  CHECK(contains(time, "\"UlikeTrans_vanilla\",128×128×128,2097152,,oom,"));
  const std::string memory = read_file(figures / "efficiency_memory.csv");
  CHECK(contains(memory, "\"UlikeTrans_vanilla\",128×128×128,2097152,63.6544,oom,63.6544\n"));
}

TEST_CASE("lines are drawn only where an architecture has two patches, with equal settings") {
  const TemporaryFolder temporary("efficiency_one_patch");
  std::vector<SyntheticRun> runs = patch_suite();
  write_runs(temporary.path(), {runs[0], runs[4]});
  write_report({temporary.path()}, temporary.path() / "report", {"svg"});
  CHECK_FALSE(fs::exists(temporary.path() / "report/figures/efficiency_macs.svg"));
  runs[1].status = "diverged";
  write_runs(temporary.path(), {runs[1]});
  write_report({temporary.path()}, temporary.path() / "report", {"svg"});
  CHECK_FALSE(fs::exists(temporary.path() / "report/figures/efficiency_macs.svg"));
}

TEST_CASE("patches that are no axis are drawn too") {
  const TemporaryFolder temporary("efficiency_settings");
  for (SyntheticRun run : patch_suite()) {
    const fs::path folder = write_run(temporary.path(), run);
    run.axes = Json::object();
    Json record = record_of(run), config = YamlDocument::load(folder / "config.yaml").root();
    record["hash"] = hash_of(run) + std::to_string(run.position);
    config["settings"]["data"]["patch"] = run.patch;
    config["axes"] = config["model"] = Json::object();
    write_atomically(folder / "record.json", record.dump());
    write_atomically(folder / "config.yaml", to_yaml(config));
  }
  write_report({temporary.path()}, temporary.path() / "report", {"svg"});
  const std::string data = read_file(temporary.path() / "report/figures/efficiency_macs.csv");
  CHECK(contains(data, "\"UlikeMamba_3d\",32×32×32"));
  CHECK(contains(data, "\"UlikeMamba_3d\",64×64×64"));
  CHECK_FALSE(contains(data, "settings"));
}
