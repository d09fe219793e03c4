#pragma once
// How fast the operators have been over time, from archived results of m3d-bench kernels --out.
#include <filesystem>
#include <string>
#include <vector>

namespace m3d {

/// Whether some file directly in the folder is a result of m3d-bench kernels.
bool is_kernel_archive(const std::filesystem::path& folder);

/// Renders the results in `folders` (their *.json files, oldest first) into `report_folder`: a section a machine and
/// toolkit, whose times alone can be compared, in it a chart an operator (share of the machine's limit) and a table of
/// medians by commit and date. Formats and return value as write_report's. A damaged file is named in the page and
/// costs no other. Throws UserError where there is no result at all.
std::filesystem::path write_trend(const std::vector<std::filesystem::path>& folders,
                                  const std::filesystem::path& report_folder, const std::vector<std::string>& formats);

}  // namespace m3d
