#include "reports/report.h"

#include "common/atomic_file.h"
#include "common/error.h"
#include "tests/catch.h"
#include "tests/reports/synthetic_runs.h"

namespace fs = std::filesystem;
using namespace m3d;
using namespace m3d::testing;

namespace {

fs::path results_with(const TemporaryFolder& temporary, const std::vector<SyntheticRun>& runs) {
  for (const SyntheticRun& run : runs) write_run(temporary.path(), run);
  return temporary.path();
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a report has tables, figures and a page that needs nothing else") {
  const TemporaryFolder temporary("report_whole");
  results_with(temporary, scanning_suite(3));
  const fs::path index = write_report({temporary.path()}, temporary.path() / "report", {});
  CHECK(index == fs::canonical(temporary.path()) / "report" / "index.html");
  const std::string page = read_file(index);
  for (const char* address : {"src=\"http", "href=\"http", "url(http", "<script", "@import"})
    CHECK_FALSE(contains(page, address));
  CHECK(contains(page, "Metrics policy"));
  CHECK(fs::exists(temporary.path() / "report/tables/main.tex"));
  CHECK(fs::exists(temporary.path() / "report/figures/dice_vs_macs.svg"));
}
