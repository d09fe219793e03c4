#pragma once
// Multiply-accumulates by operator class, counted by running the network on meta tensors: every operator call is
// seen with its real shapes, nothing is computed and no memory is needed, whatever the patch.
#include <cstdint>

#include "architectures/registry.h"

namespace m3d {

/// One multiply-add counts as one. The scan counts 3 for a state update (decay, input, read-out). Activations,
/// interpolation and biases are not counted; normalisation is counted apart from the total.
struct MacCounts {
  std::int64_t convolution = 0;             // convolutions, also transposed and depthwise ones
  std::int64_t transposed_convolution = 0;  // the transposed ones among them
  std::int64_t linear = 0;                  // linear layers
  std::int64_t attention = 0;               // products of attention (query-key and weights-value)
  std::int64_t scan = 0;                    // 3 * scan_state_updates
  std::int64_t scan_state_updates = 0;      // sum over scans of batch * d_inner * length * d_state
  std::int64_t normalisation = 0;           // not in the total: 2 an element (its square's sum; scale and shift)
  std::int64_t total() const { return convolution + linear + attention + scan; }
  bool operator==(const MacCounts&) const = default;
};

/// For batch 1, all heads built (as in training).
MacCounts count_macs(const Architecture& architecture, const NetworkInput& input, const Json& options);

/// The same, counted while `network` runs forward_all on `image` (its own device and type): what is executed must be
/// what is counted. Both are the published network's, see PublishedOrder.
MacCounts count_macs_of_run(Network& network, const torch::Tensor& image);

/// Trainable scalars.
std::int64_t count_parameters(const torch::nn::Module& network);
/// The same for a network that is not built in memory.
std::int64_t count_parameters(const Architecture& architecture, const NetworkInput& input, const Json& options);

}  // namespace m3d
