#include "ablations/run_config.h"
#include "tests/fuzz/fuzz_target.h"

using namespace m3d;

M3D_FUZZ_TARGET(run_config) {
  const YamlDocument document = YamlDocument::parse({reinterpret_cast<const char*>(data), size}, "config.yaml");
  RunConfig::from_json(document.root(), "config.yaml").hash();
}
