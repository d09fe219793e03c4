// A case's properties (nnU-Net's .pkl), and a pickle with calls and persistent ids as PyTorch's files have them.
#include "common/pickle.h"
#include "datasets/storage/case_properties.h"
#include "tests/fuzz/fuzz_target.h"

using namespace m3d;

M3D_FUZZ_TARGET(pickle) {
  PickleHooks hooks;
  hooks.call = [](const std::string& callable, const std::vector<PicklePointer>& arguments) {
    if (callable != "collections.OrderedDict" || !arguments.empty()) return PicklePointer();
    const auto dictionary = std::make_shared<PickleValue>();
    dictionary->kind = PickleValue::Kind::dictionary;
    return dictionary;
  };
  hooks.persistent = [](const PickleValue&) { return std::make_shared<PickleValue>(); };
  try {
    std::size_t position = 0;
    while (position < size) read_pickle({reinterpret_cast<const char*>(data), size}, position, hooks);
  } catch (const std::runtime_error&) {  // how it refuses damage
  }
  const fuzz::MemoryFile file(data, size);
  read_case_properties(file.path(), {64, 64, 64});
}
