#include "common/strict_yaml.h"
#include "datasets/catalogue/dataset_json.h"
#include "tests/fuzz/fuzz_target.h"

M3D_FUZZ_TARGET(descriptor) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  m3d::parse_dataset_json(m3d::YamlDocument::parse(text, "descriptor.yaml").root(), "descriptor.yaml");
}
