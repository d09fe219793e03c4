#pragma once
#include <filesystem>

namespace m3d {

/// The folder that holds the suite's own data files, laid out as in the source tree (ablations/suites,
/// datasets/descriptors, reports/theme…): $M3D_DATA, else <prefix>/share/m3d-bench of an installed program,
/// else the source tree. Throws UserError when there is none.
std::filesystem::path data_folder();

/// The folder of the reference records: $M3D_REFERENCE, else ../shared/reference beside the source tree.
/// Empty when there is none.
std::filesystem::path reference_folder();

}  // namespace m3d
