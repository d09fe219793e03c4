#pragma once
// How reports come to their folder: formats, tables and figures as files, everything renamed into place at the end.
#include <filesystem>
#include <string>
#include <vector>

#include "reports/figures.h"
#include "reports/table.h"

namespace m3d::reports {

using Formats = std::vector<std::string>;
bool has(const Formats& formats, const std::string& format);
/// Throws UserError for an unknown one; the default for none.
Formats checked_formats(const Formats& formats);
bool wants_figures(const Formats& formats);

/// A folder beside the report that is gone when the report is done or has failed.
class Workshop {
 public:
  explicit Workshop(const std::filesystem::path& report_folder);
  ~Workshop();
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;
  const std::filesystem::path& folder() const { return folder_; }

  /// Renames every file into `target`; index.html last, so that a page never stands beside older figures.
  void deliver(const std::filesystem::path& target) const;

 private:
  std::filesystem::path folder_;
};

/// <folder>/<name>.tex|md|csv, as the formats say.
void write_table(const Table& table, const std::filesystem::path& folder, const Formats& formats);

/// The figure with its picture, or the reason why there is none.
Figure drawn(Drawing drawing, const Gnuplot& gnuplot, const std::filesystem::path& folder, const Formats& formats);

}  // namespace m3d::reports
