#include "reports/report.h"

#include <iterator>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/resources.h"
#include "reports/delivery.h"
#include "reports/differences.h"
#include "reports/figures.h"
#include "reports/page.h"
#include "reports/published.h"
#include "reports/result_tables.h"

namespace m3d {
namespace fs = std::filesystem;
using namespace reports;
namespace {

std::vector<Drawing> drawings_of(const Section& section, const Theme& theme, const fs::path& folder) {
  std::vector<Drawing> drawings = {dice_against_macs(section, theme), class_boxes(section, theme),
                                   loss_curves(section, theme), pseudo_dice_curves(section, theme),
                                   scan_order_diagrams(section, theme)};
  for (std::vector<Drawing> more : {efficiency_curves(section, theme), qualitative_figures(section, theme, folder)})
    std::move(more.begin(), more.end(), std::back_inserter(drawings));
  return drawings;
}

SectionContent content_of(const Section& section, const Gnuplot& gnuplot, const fs::path& folder,
                          const Formats& formats) {
  SectionContent content;
  content.section = &section;
  content.main_tables = {main_table(section)};
  if (Table efficiency = efficiency_table(section); !efficiency.rows.empty())
    content.main_tables.push_back(std::move(efficiency));
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
