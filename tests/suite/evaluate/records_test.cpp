#include "common/resources.h"
#include "suite/verify/verify.h"
#include "tests/catch.h"

using namespace m3d;
namespace fs = std::filesystem;

TEST_CASE("reference records of the pipeline hold", "[records]") {
  const std::string name =
      GENERATE("augmentation.json", "augmentation_v1.json", "loss.json", "loss_ignored.json", "optim.json",
               "splits.json", "sliding_window.json", "numpy_rng.json", "topology.json", "planner.json",
               "resampling.json", "metrics/metrics.json", "metrics/brats_regions.json");
  const RecordCheck check = verify_record(fs::path(M3D_SOURCE_DIR) / "tests/records/pipeline" / name);
  INFO(name << ": " << check.detail);
  CHECK(check.verdict == Verdict::ok);
}

TEST_CASE("whole datasets are prepared and exported as their records say", "[records]") {
  const fs::path folder = reference_folder() / "records" / "pipeline" / "preprocessing";
  if (!fs::is_directory(folder)) {
    WARN("skipped: " << folder << " is absent");
    return;
  }
  for (const auto& file : fs::directory_iterator(folder)) {
    const RecordCheck check = verify_record(file.path());
    INFO(file.path() << ": " << check.detail);
    CHECK(check.verdict == Verdict::ok);
  }
}
