// The reference records of operators, blocks and networks, in float64.
#include <algorithm>
#include <filesystem>

#include "suite/verify/verify.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

std::vector<std::filesystem::path> records(const std::string& folder, bool canonical) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(M3D_SOURCE_DIR) / "tests/records" / folder)) {
    const bool large = entry.path().string().find(".canonical") != std::string::npos;
    if (entry.path().extension() == ".json" && large == canonical) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void check_all(const std::vector<std::filesystem::path>& files) {
  for (const auto& file : files) {
    const RecordCheck check = verify_record(file);
    INFO(file.filename().string() << ": " << check.detail);
    CHECK(check.verdict == Verdict::ok);
  }
}

/// A folder a family; the pipeline's records have a test of their own.
std::vector<std::string> families() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(M3D_SOURCE_DIR) / "tests/records"))
    if (entry.path().filename() != "pipeline") names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("operators, blocks and small networks agree with their records", "[parity]") {
  const auto names = families();
  REQUIRE(names.size() >= 2);
  for (const auto& family : names) check_all(records(family, false));
}

TEST_CASE("networks of published size agree with their records", "[.canonical]") {
  for (const auto& family : families()) check_all(records(family, true));
}
