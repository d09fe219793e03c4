#include "reports/trend.h"

#include <algorithm>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/resources.h"
#include "reports/delivery.h"
#include "reports/page_parts.h"
#include "reports/trend_section.h"

namespace m3d {
namespace fs = std::filesystem;
using namespace reports;
namespace {

std::vector<fs::path> json_files(const fs::path& folder) {
  if (!fs::is_directory(folder)) throw UserError(folder.string() + " is not a folder");
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

struct Archive {
  std::vector<KernelResults> results;
  std::vector<std::string> damaged;
};

Archive read_archive(const std::vector<fs::path>& folders) {
  Archive archive;
  for (const fs::path& folder : folders)
    for (const fs::path& file : json_files(folder)) {
      try {
        archive.results.push_back(load_kernel_results(file));
      } catch (const UserError& error) {
        archive.damaged.push_back(error.what());
      }
    }
  return archive;
}

std::string section_html(const TrendSection& section, const Gnuplot& gnuplot, const fs::path& folder,
                         const Formats& formats) {
  std::string figures, tables;
  for (const std::string& name : section.operators()) {
    const Table table = trend_table(section, name);
    write_table(table, folder / "tables", formats);
    tables += to_html(table);
    if (!wants_figures(formats)) continue;
    figures += figure_html(drawn(trend_chart(section, name, gnuplot.theme()), gnuplot, folder / "figures", formats));
  }
  return "<article>\n<h2>" + escape_html(section.machine) + "</h2>\n" +
         paragraph("lead", section.toolkit + "; " + std::to_string(section.runs.size()) + " results, " +
                               run_label(section.runs.front()) + " to " + run_label(section.runs.back())) +
         "<div class=\"pictures\">\n" + figures + "</div>\n" + tables + "</article>\n";
}

}  // namespace

bool is_kernel_archive(const fs::path& folder) {
  if (!fs::is_directory(folder)) return false;
  for (const fs::path& file : json_files(folder)) {
    const Json json = Json::parse(read_file(file), nullptr, false);
    if (json.is_object() && json.value("kind", Json()) == "m3d-bench kernels") return true;
  }
  return false;
}

fs::path write_trend(const std::vector<fs::path>& folders, const fs::path& report_folder, const Formats& formats) {
  const Formats wanted = checked_formats(formats);
  Archive archive = read_archive(folders);
  if (archive.results.empty()) throw UserError("no result of m3d-bench kernels --out in " + folders.front().string());
  const fs::path target = fs::weakly_canonical(report_folder);
  const Gnuplot gnuplot(Theme::load(data_folder() / "reports" / "theme.yaml"));
  const Workshop workshop(target);
  std::string main;
  if (!archive.damaged.empty())
    main += "<section class=\"trouble\"><h3>Left out</h3>\n" + list_html(archive.damaged) + "</section>\n";
  for (const TrendSection& section : trend_sections(std::move(archive.results)))
    main += section_html(section, gnuplot, workshop.folder(), wanted);
  if (has(wanted, "html"))
    write_atomically(workshop.folder() / "index.html",
                     framed_page("Speed of the operators over time", main, gnuplot.version()));
  workshop.deliver(target);
  return has(wanted, "html") ? target / "index.html" : target;
}

}  // namespace m3d
