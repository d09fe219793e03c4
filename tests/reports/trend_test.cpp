#include "reports/trend.h"

#include <random>

#include "common/atomic_file.h"
#include "common/error.h"
#include "reports/trend_section.h"
#include "tests/catch.h"
#include "tests/reports/synthetic_runs.h"
#include "tests/suite/regression/synthetic_results.h"

namespace fs = std::filesystem;
using namespace m3d;
using namespace m3d::reports;
using Catch::Matchers::Contains;
using m3d::test::result_with;
using m3d::test::run_of;
using m3d::testing::TemporaryFolder;

namespace {

/// The day's result: forward takes `milliseconds`, backward thrice that.
KernelResults result_of_day(int day, double milliseconds) {
  KernelResults run = run_of({result_with("scan/forward/float32/L:8", {milliseconds, milliseconds, 2 * milliseconds}),
                              result_with("scan/forward_backward/float32/L:8", {3 * milliseconds})});
  run.context.started = "2026-01-0" + std::to_string(day) + "T12:00:00Z";
  run.context.git_commit = "abcdef" + std::to_string(day) + "00000";
  return run;
}

void archive(const fs::path& folder, const std::string& name, const KernelResults& run) {
  write_atomically(folder / (name + ".json"), to_json(run).dump());
}

}  // namespace

TEST_CASE("the trend has a section a machine, oldest result first") {
  KernelResults elsewhere = result_of_day(2, 1);
  elsewhere.context.device_name = "Another CPU";
  const auto sections = trend_sections({result_of_day(3, 1), elsewhere, result_of_day(1, 2)});
  REQUIRE(sections.size() == 2);
  REQUIRE(sections[0].runs.size() == 2);
  CHECK(run_label(sections[0].runs[0]) == "2026-01-01 abcdef1");
  CHECK(sections[1].machine == "Another CPU, 2 threads, avx2");
  CHECK(sections[0].operators() == std::set<std::string>{"scan"});
}

TEST_CASE("the trend's table has medians, the newest result first") {
  KernelResults newest = result_of_day(2, 1);
  newest.results[1].milliseconds.clear();
  newest.results[1].failure = "wrong result";
  const Table table = trend_table(trend_sections({result_of_day(1, 2), newest})[0], "scan");
  REQUIRE(table.columns.size() == 3);
  CHECK(table.columns[1].title == "2026-01-02 abcdef2");
  REQUIRE(table.rows.size() == 2);
  CHECK(table.rows[0][0].text == "forward/float32/L:8");
  CHECK(*table.rows[0][1].value == 1);
  CHECK(*table.rows[0][2].value == 2);
  CHECK(table.rows[1][1].text == "failed");
}

TEST_CASE("the trend page holds charts and tables and names damaged files") {
  const TemporaryFolder folder("trend");
  for (int day = 1; day <= 9; ++day) archive(folder.path(), "day" + std::to_string(day), result_of_day(day, day));
  write_atomically(folder.path() / "damaged.json", "{");
  CHECK(is_kernel_archive(folder.path()));
  const fs::path index = write_trend({folder.path()}, folder.path() / "report", {});
  const std::string page = read_file(index);
  CHECK_THAT(page, Contains("<svg") && Contains("Some CPU, 2 threads") && Contains("damaged.json"));
  CHECK_THAT(page, !Contains("<script") && !Contains("src=\"http"));
  CHECK_THAT(read_file(folder.path() / "report/figures/machine_1_trend_scan.csv"),
             Contains("\"scan/forward/float32/L:8\",1,\"2026-01-01 abcdef1\",1,50"));
  CHECK(fs::exists(folder.path() / "report/tables/machine_1_scan.csv"));
}

TEST_CASE("a folder without results is no archive") {
  const TemporaryFolder folder("no_trend");
  CHECK_FALSE(is_kernel_archive(folder.path()));
  CHECK_FALSE(is_kernel_archive(folder.path() / "absent"));
  write_atomically(folder.path() / "other.json", "{\"kind\": 3}");
  CHECK_FALSE(is_kernel_archive(folder.path()));
  CHECK_THROWS_AS(write_trend({folder.path()}, folder.path() / "report", {}), UserError);
}
