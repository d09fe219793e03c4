#include "reports/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/log.h"
#include "common/nearest_name.h"
#include "common/resources.h"
#include "reports/differences.h"
#include "reports/figures.h"
#include "reports/page.h"
#include "reports/published.h"
#include "reports/result_tables.h"

namespace m3d {
namespace fs = std::filesystem;
using namespace reports;
namespace {

using Formats = std::vector<std::string>;

bool has(const Formats& formats, const std::string& format) {
  return std::find(formats.begin(), formats.end(), format) != formats.end();
}

Formats checked_formats(const Formats& formats) {
  static const Formats known = {"html", "latex", "markdown", "csv", "svg", "png", "pdf"};
  for (const std::string& format : formats)
    if (!has(known, format)) throw UserError("--format: " + unknown_name_message("format", format, known));
  return formats.empty() ? Formats{"html", "latex", "markdown", "csv", "svg"} : formats;
}

bool wants_figures(const Formats& formats) {
  return has(formats, "html") || has(formats, "svg") || has(formats, "png") || has(formats, "pdf");
}

/// A folder beside the report that is gone when the report is done or has failed.
class Workshop {
 public:
  explicit Workshop(const fs::path& report_folder)
      : folder_(report_folder.parent_path() / fmt::format(".{}.{}", report_folder.filename().string(), getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~Workshop() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;
  const fs::path& folder() const { return folder_; }

  /// Renames every file into `target`; index.html last, so that a page never stands beside older figures.
  void deliver(const fs::path& target) const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), folder_));
    std::stable_partition(files.begin(), files.end(), [](const fs::path& file) { return file != "index.html"; });
    for (const fs::path& file : files) {
      fs::create_directories((target / file).parent_path());
      fs::rename(folder_ / file, target / file);
    }
  }

 private:
  fs::path folder_;
};

void write_table(const Table& table, const fs::path& folder, const Formats& formats) {
  fs::create_directories(folder);
  if (has(formats, "latex")) write_atomically(folder / (table.name + ".tex"), to_latex(table));
  if (has(formats, "markdown")) write_atomically(folder / (table.name + ".md"), to_markdown(table));
  if (has(formats, "csv")) write_atomically(folder / (table.name + ".csv"), to_csv(table));
}

Figure drawn(Drawing drawing, const Gnuplot& gnuplot, const fs::path& folder, const Formats& formats) {
  Figure& figure = drawing.figure;
  if (!figure.omitted.empty()) return figure;
  if (!gnuplot.available()) {
    figure.omitted = "gnuplot is not there; install gnuplot-nox and make the report again";
    return figure;
  }
  try {
    figure.svg = gnuplot.draw(drawing.script, folder, formats);
  } catch (const RunError& failure) {
    figure.omitted = failure.what();
    log(LogLevel::warning, "figure " + figure.name + " omitted: " + failure.what());
  }
  return figure;
}

std::vector<Drawing> drawings_of(const Section& section, const Theme& theme, const fs::path& folder) {
  std::vector<Drawing> drawings = {dice_against_macs(section, theme), class_boxes(section, theme),
                                   loss_curves(section, theme), pseudo_dice_curves(section, theme),
                                   scan_order_diagrams(section, theme)};
  std::vector<Drawing> slices = qualitative_slices(section, theme, folder);
  std::move(slices.begin(), slices.end(), std::back_inserter(drawings));
  return drawings;
}

SectionContent content_of(const Section& section, const Gnuplot& gnuplot, const fs::path& folder,
                          const Formats& formats) {
  SectionContent content;
  content.section = &section;
  content.main_tables = {main_table(section)};
  if (Table groups = group_table(section); !groups.rows.empty()) content.main_tables.push_back(std::move(groups));
  content.further_tables = class_tables(section);
  if (Table differences = difference_table(section); !differences.rows.empty())
    content.main_tables.push_back(std::move(differences));
  content.sentences = seed_sentences(section);
  content.published = published_tables(data_folder() / "reports" / "published", section.dataset, section.prefix);
  for (const auto* tables : {&content.main_tables, &content.further_tables, &content.published})
    for (const Table& table : *tables) write_table(table, folder / "tables", formats);
  if (!wants_figures(formats)) return content;
  for (Drawing& drawing : drawings_of(section, gnuplot.theme(), folder / "figures"))
    content.figures.push_back(drawn(std::move(drawing), gnuplot, folder / "figures", formats));
  return content;
}

void require_runs(const FoundRuns& found, const std::vector<fs::path>& folders) {
  if (!found.runs.empty()) return;
  std::string searched;
  for (const fs::path& folder : folders) searched += (searched.empty() ? "" : ", ") + folder.string();
  std::string message = "no run with a usable record.json in " + searched;
  for (const DamagedRun& run : found.damaged)
    message += "\n  " + (run.folder / "record.json").string() + ": " + run.reason;
  throw UserError(
      message + "\n  give the folder of a suite's results (<out>/<suite>/<dataset>), after at least one run has ended");
}

}  // namespace

fs::path write_report(const std::vector<fs::path>& folders, const fs::path& report_folder, const Formats& formats) {
  const Formats wanted = checked_formats(formats);
  const FoundRuns found = find_runs(folders);
  require_runs(found, folders);
  const fs::path target = fs::weakly_canonical(report_folder);
  const std::vector<Section> sections = sections_of(found.runs);
  const Gnuplot gnuplot(Theme::load(data_folder() / "reports" / "theme.yaml"));
  const Workshop workshop(target);
  std::vector<SectionContent> contents;
  for (const Section& section : sections) contents.push_back(content_of(section, gnuplot, workshop.folder(), wanted));
  if (has(wanted, "html")) write_atomically(workshop.folder() / "index.html", page(contents, found, gnuplot.version()));
  workshop.deliver(target);
  return has(wanted, "html") ? target / "index.html" : target;
}

}  // namespace m3d
