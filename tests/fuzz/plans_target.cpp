#include "datasets/planning/plans.h"
#include "tests/fuzz/fuzz_target.h"

using namespace m3d;

M3D_FUZZ_TARGET(plans) {
  const fuzz::MemoryFile file(data, size);
  const Plans plans = Plans::read(file.path());
  for (const std::string& name : plans.configuration_names()) plans.configuration(name);
  Plans(plans.json(), "again").hash();
}
