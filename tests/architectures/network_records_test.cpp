// The reference records of operators and of the Ulike family, in float64.
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
  REQUIRE_FALSE(files.empty());
  for (const auto& file : files) {
    const RecordCheck check = verify_record(file);
    INFO(file.filename().string() << ": " << check.detail);
    CHECK(check.verdict == Verdict::ok);
  }
}

}  // namespace

TEST_CASE("operators and fill rule agree with their records", "[parity]") { check_all(records("operators", false)); }

TEST_CASE("Ulike blocks and small networks agree with their records", "[parity]") {
  check_all(records("ulike", false));
}

TEST_CASE("Ulike networks of published size agree with their records", "[.canonical]") {
  check_all(records("ulike", true));
}
