#include "reports/report.h"

#include <cstdlib>

#include "common/atomic_file.h"
#include "common/error.h"
#include "tests/catch.h"
#include "tests/reports/report_checks.h"

namespace fs = std::filesystem;
using namespace m3d;
using namespace m3d::testing;

namespace {

/// Runs without the programs of PATH while it lives.
class WithoutPrograms {
 public:
  WithoutPrograms() : path_(std::getenv("PATH")) { setenv("PATH", "/nowhere", 1); }
  ~WithoutPrograms() { setenv("PATH", path_.c_str(), 1); }
  WithoutPrograms(const WithoutPrograms&) = delete;
  WithoutPrograms& operator=(const WithoutPrograms&) = delete;

 private:
  std::string path_;
};

}  // namespace

TEST_CASE("a report has tables, figures with data and script, and a page that needs nothing else") {
  const TemporaryFolder temporary("report_whole");
  const fs::path dataset = write_dataset(temporary.path() / "raw", 3);
  for (SyntheticRun run : scanning_suite(2)) {
    run.dataset_folder = dataset.string();
    run.cases = 3;
    write_predictions(write_run(temporary.path(), run), dataset, static_cast<int>(run.seed));
  }
  const fs::path index = write_report({temporary.path()}, temporary.path() / "report", {});
  CHECK(index == fs::canonical(temporary.path()) / "report" / "index.html");
  const std::string page = read_file(index);
  for (const char* address : {"src=\"http", "src='http", "href=\"http", "href='http", "url(http", "<script", "@import"})
    CHECK_FALSE(contains(page, address));
  for (const char* part :
       {"Metrics policy", "0123abc", "GCC 12.2", "Test CPU", "12 finished runs; seeds 0, 1; fold 0", "<svg"})
    CHECK(contains(page, part));
  CHECK_FALSE(contains(page, "Omitted"));
  const fs::path report = temporary.path() / "report";
  for (const char* name : {"dice_vs_macs", "class_boxes", "learning_loss", "learning_dice", "scan_orders",
                           "slices_best", "slices_median", "slices_worst", "surfaces"}) {
    CHECK(contains(page, "id=\"" + std::string(name) + "\""));
    for (const char* ending : {".svg", ".csv", ".gp"})
      CHECK(fs::exists(report / "figures" / (name + std::string(ending))));
  }
  for (const char* name :
       {"main", "efficiency", "per_class_dice", "per_class_hd95", "per_class_nsd", "differences", "groups"})
    for (const char* ending : {".tex", ".md", ".csv"})
      CHECK(fs::exists(report / "tables" / (name + std::string(ending))));
  for (const auto& entry : fs::directory_iterator(temporary.path()))
    CHECK(entry.path().filename().string().front() != '.');
}

TEST_CASE("equal runs give equal pictures, with their size and runs in them") {
  const TemporaryFolder temporary("report_equal");
  const std::vector<SyntheticRun> runs = scanning_suite(1);
  write_runs(temporary.path(), runs);
  const std::string first = rendered(temporary.path(), "figures/class_boxes.svg", {"svg"});
  const std::string second = rendered(temporary.path(), "figures/class_boxes.svg", {"svg"});
  CHECK(first == second);
  CHECK(contains(first, "width=\"180mm\""));
  CHECK(contains(first, hash_of(runs.front())));
}

TEST_CASE("png and pdf are drawn on request") {
  const TemporaryFolder temporary("report_formats");
  write_runs(temporary.path(), scanning_suite(1));
  const fs::path folder = write_report({temporary.path()}, temporary.path() / "report", {"png", "pdf"});
  CHECK(folder == fs::canonical(temporary.path()) / "report");
  CHECK(read_file(folder / "figures/dice_vs_macs.png").substr(1, 3) == "PNG");
  CHECK(read_file(folder / "figures/dice_vs_macs.pdf").substr(0, 4) == "%PDF");
  CHECK_FALSE(fs::exists(folder / "figures/dice_vs_macs.svg"));
  CHECK_FALSE(fs::exists(folder / "index.html"));
  CHECK_FALSE(fs::exists(folder / "tables/main.tex"));
}

TEST_CASE("tables are the approved ones") {
  const TemporaryFolder temporary("report_approved");
  std::vector<SyntheticRun> runs = scanning_suite(3);
  runs[3].status = "oom";
  for (const std::size_t i : {4U, 10U, 16U}) runs[i].status = "diverged";
  write_runs(temporary.path(), runs);
  write_report({temporary.path()}, temporary.path() / "report", {"latex", "markdown", "csv"});
  for (const char* name : {"main.tex", "main.md", "main.csv", "efficiency.md", "per_class_dice.md", "differences.tex",
                           "differences.md", "groups.md"})
    check_approved(name, read_file(temporary.path() / "report/tables" / name));
}

TEST_CASE("a damaged record is named and costs no other run") {
  const TemporaryFolder temporary("report_damaged");
  std::vector<SyntheticRun> runs = scanning_suite(1);
  write_runs(temporary.path(), {runs.begin(), runs.begin() + 2});
  const fs::path cut = write_run(temporary.path(), runs[2]), wrong = write_run(temporary.path(), runs[3]);
  write_atomically(cut / "record.json", read_file(cut / "record.json").substr(0, 300));
  Json record = record_of(runs[3]);
  record["metrics"]["mean_dice"] = 85.0;
  write_atomically(wrong / "record.json", record.dump());
  const fs::path open = write_run(temporary.path(), runs[4]);
  fs::remove(open / "record.json");
  const std::string page = rendered(temporary.path(), "index.html", {"html"});
  CHECK(contains(page, "2 configurations, 2 finished runs"));
  CHECK(contains(page, "Damaged record, left out: " + cut.filename().string()));
  CHECK(contains(page, "key &#39;mean_dice&#39;: expected a number in [0, 1]"));
  CHECK(contains(page, "Not finished, no record yet: " + open.filename().string()));
}

TEST_CASE("failed runs show their status and reason") {
  const TemporaryFolder temporary("report_failed");
  std::vector<SyntheticRun> runs = scanning_suite(1);
  runs[1].status = "oom";
  runs[2].status = "failed";
  runs[3].status = "diverged";
  write_runs(temporary.path(), runs);
  const std::string page = rendered(temporary.path(), "index.html", {"html"});
  for (const char* word : {"OOM", "failed", "diverged"})
    CHECK(contains(page, "<td class=\"word\">" + std::string(word) + "</td>"));
  CHECK(contains(page, "oom in step 12"));
  CHECK(contains(page, "3 finished runs, 3 failed"));
  const std::string main = rendered(temporary.path(), "tables/main.md", {"markdown"});
  for (const char* row :
       {"| 1 OOM | – | – | OOM |", "| 1 failed | – | – | failed |", "| 1 diverged | – | – | diverged |"})
    CHECK(contains(main, row));
}

TEST_CASE("without gnuplot the page says so") {
  const TemporaryFolder temporary("report_no_gnuplot");
  write_runs(temporary.path(), scanning_suite(1));
  const WithoutPrograms without;
  const std::string page = rendered(temporary.path(), "index.html", {});
  CHECK(contains(page, "Omitted: gnuplot is not there; install gnuplot-nox"));
  CHECK(contains(page, "Mean Dice"));
}

TEST_CASE("figures without data are omitted with their reason") {
  const TemporaryFolder temporary("report_no_data");
  const fs::path folder = write_run(temporary.path(), SyntheticRun());
  fs::remove(folder / "log.csv");
  write_atomically(folder / "scan_orders.json", R"([{"name": "odd", "grid": [1, 2, 2], "permutation": [0, 1, 1, 3]}])");
  const std::string page = rendered(temporary.path(), "index.html", {"html"});
  CHECK(contains(page, "Omitted: no log.csv of a finished run has train_loss"));
  CHECK(contains(page, "order &#39;odd&#39; is not a permutation of its grid"));
  CHECK(contains(page, "Omitted: no run recorded scan orders"));
  CHECK(contains(page, "Omitted: config.yaml of the baseline names no dataset_folder"));
}

TEST_CASE("published numbers stand beside ours for the same dataset only, marked as theirs") {
  const TemporaryFolder temporary("report_published");
  SyntheticRun run;
  write_run(temporary.path(), run);
  CHECK_FALSE(contains(rendered(temporary.path(), "index.html", {"html"}), "Published by others"));
  run.dataset = "brats21";
  const fs::path folder = write_run(temporary.path() / "real", run);
  const std::string page = rendered(temporary.path() / "real", "index.html", {"html", "latex", "markdown"});
  CHECK(contains(page, "class=\"table theirs\""));
  CHECK(contains(page, "arXiv 2503.19308"));
  CHECK(contains(page, "90.29"));
  CHECK(contains(read_file(temporary.path() / "real/report/tables/published_ulike.tex"), "\\itshape"));
  CHECK_FALSE(contains(read_file(temporary.path() / "real/report/tables/main.md"), "90.29"));
}

TEST_CASE("an experiment found twice counts once") {
  const TemporaryFolder temporary("report_twice");
  SyntheticRun run;
  write_run(temporary.path() / "old", run);
  run.started = "2026-02-01T00:00:00Z";
  run.dice = 0.9;
  write_run(temporary.path() / "new", run);
  const std::string page = rendered(temporary.path(), "index.html", {"html"});
  CHECK(contains(page, "1 configurations, 1 finished runs"));
  CHECK(contains(page, "repeats experiment"));
  CHECK(contains(page, "90.00"));
}

TEST_CASE("several suites share a page, each with files of its own") {
  const TemporaryFolder temporary("report_suites");
  SyntheticRun run;
  write_run(temporary.path(), run);
  run.suite = "smoke";
  write_run(temporary.path(), run);
  const std::string page = rendered(temporary.path(), "index.html", {"html", "csv"});
  CHECK(contains(page, "2 suites"));
  CHECK(contains(page, "Suite smoke on phantom_mri"));
  CHECK(fs::exists(temporary.path() / "report/tables/scanning-phantom_mri-main.csv"));
  CHECK(fs::exists(temporary.path() / "report/tables/smoke-phantom_mri-main.csv"));
}

TEST_CASE("what cannot be reported is refused and leaves nothing") {
  const TemporaryFolder temporary("report_refused");
  const fs::path report = temporary.path() / "report";
  CHECK_THROWS_WITH(write_report({temporary.path()}, report, {}), Catch::Contains("no run with a usable record.json"));
  CHECK_THROWS_AS(write_report({temporary.path() / "nowhere"}, report, {}), UserError);
  write_run(temporary.path(), SyntheticRun());
  CHECK_THROWS_WITH(write_report({temporary.path()}, report, {"htlm"}), Catch::Contains("did you mean 'html'"));
  CHECK_FALSE(fs::exists(report));
}
