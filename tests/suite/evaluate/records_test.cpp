#include "suite/verify/verify.h"
#include "tests/catch.h"

using namespace m3d;

TEST_CASE("reference records of the pipeline hold", "[records]") {
  const std::string name = GENERATE("augmentation.json", "loss.json", "optim.json", "splits.json",
                                    "sliding_window.json", "metrics/metrics.json", "metrics/brats_regions.json");
  const RecordCheck check = verify_record(std::filesystem::path(M3D_SOURCE_DIR) / "tests/records/pipeline" / name);
  INFO(name << ": " << check.detail);
  CHECK(check.verdict == Verdict::ok);
}
