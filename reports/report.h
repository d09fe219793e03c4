#pragma once
// Tables, figures and one page from run folders. Reads record.json, log.csv, config.yaml, scan_orders.json and
// predictions/ (and, for the slices, the dataset's images); never calls into the harness.
#include <filesystem>
#include <string>
#include <vector>

namespace m3d {

/// Renders the runs in or below `folders` (searched recursively) into `report_folder`: tables/*.tex|md|csv,
/// figures/<name>.{svg,png,pdf} with <name>.csv and <name>.gp beside each, index.html. `formats` out of html, latex,
/// markdown, csv, svg, png, pdf; empty: html, latex, markdown, csv, svg. Everything is written beside the folder first
/// and then renamed file by file, index.html last. Returns index.html's path, or the folder where html is not asked
/// for. A damaged record is named in the page and in the log, and costs no other run. Throws UserError for an unknown
/// format, a folder that does not exist, and where there is no run at all.
std::filesystem::path write_report(const std::vector<std::filesystem::path>& folders,
                                   const std::filesystem::path& report_folder, const std::vector<std::string>& formats);

}  // namespace m3d
