#include "architectures/network_state.h"

#include <set>

namespace m3d {

NamedTensors state_of(const torch::nn::Module& network) {
  NamedTensors state;
  std::set<const void*> seen;
  const auto add = [&](const std::string& prefix, const auto& tensors) {
    for (const auto& item : tensors)
      if (seen.insert(item.value().unsafeGetTensorImpl()).second) state.emplace_back(prefix + item.key(), item.value());
  };
  const auto add_own = [&](const std::string& prefix, const torch::nn::Module& module) {
    add(prefix, module.named_parameters(/*recurse=*/false));
    add(prefix, module.named_buffers(/*recurse=*/false));
  };
  add_own("", network);
  for (const auto& module : network.named_modules("", /*include_self=*/false))
    add_own(module.key() + ".", *module.value());
  return state;
}

}  // namespace m3d
