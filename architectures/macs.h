#pragma once
// Multiply-accumulates by operator class, counted by running the network on meta tensors: every operator call is
// seen with its real shapes, nothing is computed and no memory is needed, whatever the patch.
#include <cstdint>

#include "architectures/registry.h"

namespace m3d {

/// One multiply-add counts as one. The scan counts 3 for a state update (decay, input, read-out). Normalisation,
/// activations, interpolation and biases are not counted.
struct MacCounts {
  std::int64_t convolution = 0;         // convolutions and transposed convolutions, depthwise ones included
  std::int64_t linear = 0;              // linear layers
  std::int64_t attention = 0;           // products of attention (query-key and weights-value)
  std::int64_t scan = 0;                // 3 * scan_state_updates
  std::int64_t scan_state_updates = 0;  // sum over scans of batch * d_inner * length * d_state
  std::int64_t total() const { return convolution + linear + attention + scan; }
};

/// For batch 1, all heads built (as in training).
MacCounts count_macs(const Architecture& architecture, const NetworkInput& input, const Json& options);

/// Trainable scalars.
std::int64_t count_parameters(const torch::nn::Module& network);
/// The same for a network that is not built in memory.
std::int64_t count_parameters(const Architecture& architecture, const NetworkInput& input, const Json& options);

}  // namespace m3d
