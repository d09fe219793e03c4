// m3d-bench report: tables, figures and a page from run folders.
#include "reports/report.h"

#include <algorithm>
#include <cstdio>

#include "common/atomic_file.h"
#include "common/error.h"
#include "reports/trend.h"
#include "suite/cli/command.h"
#include "suite/cli/output.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

const std::vector<std::string> kFormats = {"html", "latex", "markdown", "csv", "svg", "png", "pdf"};

struct ReportOptions {
  std::vector<std::string> folders;
  std::vector<std::string> formats;
  std::string output;
};

int run_report(const ReportOptions& options) {
  const std::vector<fs::path> folders(options.folders.begin(), options.folders.end());
  const fs::path output = options.output.empty() ? folders.front() / "report" : fs::path(options.output);
  require_writable(output, "--output");
  const auto archives = std::count_if(folders.begin(), folders.end(), is_kernel_archive);
  if (archives > 0 && archives < static_cast<std::ptrdiff_t>(folders.size()))
    throw UserError("report takes folders of runs or of archived kernel results, not both at once");
  const fs::path page = (archives > 0 ? write_trend : write_report)(folders, output, options.formats);
  std::printf("%s\n", page.c_str());
  return 0;
}

}  // namespace

void add_report(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* report = app.add_subcommand("report",
                                        "Render tables, figures and index.html from the records under the given "
                                        "folders, or the trend of archived kernel results; prints the page's path.");
  report->footer(
      "Examples:\n"
      "  m3d-bench report m3d-results/scanning/phantom_mri\n"
      "  m3d-bench report runs_a runs_b --output joint --format html,latex\n"
      "  m3d-bench report kernels/baselines --output trend");
  report->add_option("folders", options->folders, "suite or run folders, or archives of kernels --out")->required()->type_name("DIR");
  report
      ->add_option("--format", options->formats,
                   "html, latex, markdown, csv, svg, png, pdf (default: all but png and pdf)")
      ->delimiter(',')
      ->check(one_of("--format", kFormats));
  report->add_option("--output", options->output, "where the report goes (default: report/ in the first folder)");
  report->callback([options, &chosen] { chosen = [options] { return run_report(*options); }; });
}

}  // namespace m3d
