// dataset.json from its bytes, and descriptors of datasets: the same content as YAML.
#include "datasets/catalogue/dataset_json.h"
#include "tests/fuzz/fuzz_target.h"

M3D_FUZZ_TARGET(dataset_json) {
  const m3d::fuzz::MemoryFile file(data, size);
  m3d::read_dataset_json(file.path());
}
