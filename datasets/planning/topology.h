#pragma once
// The U-Net's pooling and kernels for a patch (nnunet_conventions.md §3): axes are halved while they are long enough
// and their spacing is within a factor of 2 of the finest.
#include <cstdint>
#include <vector>

namespace m3d {

/// Per axis: as many entries as the patch has axes (2 or 3).
struct NetworkTopology {
  std::vector<std::int64_t> pools;                 // halvings of each axis
  std::vector<std::vector<std::int64_t>> strides;  // [stages, axes]; the first stage has stride 1
  std::vector<std::vector<std::int64_t>> kernels;  // [stages, axes]; 1 or 3
  std::vector<std::int64_t> patch;                 // padded up to a multiple of `divisors`
  std::vector<std::int64_t> divisors;
};

/// `patch` may have halves (medians of shapes). No axis gets shorter than `smallest_edge` voxels.
NetworkTopology network_topology(const std::vector<double>& spacing, const std::vector<double>& patch,
                                 std::int64_t smallest_edge = 4);

}  // namespace m3d
