#include "ablations/suite.h"
#include "tests/fuzz/fuzz_target.h"

using namespace m3d;

M3D_FUZZ_TARGET(suite) {
  LayeredYaml layers;
  layers.overlay(YamlDocument::parse({reinterpret_cast<const char*>(data), size}, "suite.yaml"));
  read_suite(layers);
}
