#include "reports/delivery.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/log.h"
#include "common/nearest_name.h"

namespace m3d::reports {
namespace fs = std::filesystem;

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

Workshop::Workshop(const fs::path& report_folder)
    : folder_(report_folder.parent_path() / fmt::format(".{}.{}", report_folder.filename().string(), getpid())) {
  fs::remove_all(folder_);
  fs::create_directories(folder_);
}

Workshop::~Workshop() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void Workshop::deliver(const fs::path& target) const {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder_))
    if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), folder_));
  std::stable_partition(files.begin(), files.end(), [](const fs::path& file) { return file != "index.html"; });
  for (const fs::path& file : files) {
    fs::create_directories((target / file).parent_path());
    fs::rename(folder_ / file, target / file);
  }
}

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

}  // namespace m3d::reports
