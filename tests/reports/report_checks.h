#pragma once
// What tests of whole reports share.
#include <cstdlib>

#include "common/atomic_file.h"
#include "reports/report.h"
#include "tests/catch.h"
#include "tests/reports/synthetic_runs.h"

namespace m3d::testing {

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

inline void write_runs(const std::filesystem::path& root, const std::vector<SyntheticRun>& runs) {
  for (const SyntheticRun& run : runs) write_run(root, run);
}

/// The report's file; only the given formats are rendered, into a folder of its own.
inline std::string rendered(const std::filesystem::path& root, const std::string& file,
                            const std::vector<std::string>& formats) {
  write_report({root}, root / "report", formats);
  return read_file(root / "report" / file);
}

/// Compares with tests/reports/approved/<name>; M3D_APPROVE=1 writes the file instead.
inline void check_approved(const std::string& name, const std::string& text) {
  const auto file = std::filesystem::path(M3D_SOURCE_DIR) / "tests/reports/approved" / name;
  if (std::getenv("M3D_APPROVE")) write_atomically(file, text);
  CHECK(text == read_file(file));
}

}  // namespace m3d::testing
