#pragma once
// A file's tensors into a network.
#include <string>
#include <vector>

#include "architectures/registry.h"
#include "suite/weights/state_file.h"

namespace m3d {

struct WeightMatch {
  std::size_t filled = 0;   // tensors of the network that got their values
  std::size_t aliases = 0;  // tensors of the file that are others of it under a second name
  std::string prefix;       // that all names of the file had in front: "module."
};

/// Copies `tensors` into `network`, whose names are the original's (Architecture::state_aliases says under which other
/// names originals list the same tensors). A prefix of data-parallel or compiled modules is taken off; integer tensors
/// (counters, index tables) may be absent on either side; types are converted. Throws UserError that lists every
/// missing, unexpected and misshapen tensor; the network is then as it was.
WeightMatch fill_network(Network& network, const Architecture& architecture, const NamedTensors& tensors,
                         const std::string& source);

}  // namespace m3d
