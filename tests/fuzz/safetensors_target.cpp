#include "common/strict_yaml.h"
#include "suite/weights/safetensors_header.h"
#include "tests/fuzz/fuzz_target.h"

using namespace m3d;

M3D_FUZZ_TARGET(safetensors) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    for (const SafetensorsEntry& entry : safetensors_entries(bytes)) {
      const std::string copy(entry.data);  // reads every byte
      if (copy.size() != entry.data.size()) throw std::logic_error("bytes are missing");
    }
  } catch (const std::runtime_error&) {  // how it refuses damage
  } catch (const nlohmann::json::exception&) {
  }
}
