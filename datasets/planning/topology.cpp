#include "datasets/planning/topology.h"

#include <algorithm>
#include <cmath>

namespace m3d {
namespace {

constexpr double kAlike = 2;  // spacings that differ by less are treated alike

class TopologySearch {
 public:
  TopologySearch(const std::vector<double>& spacing, const std::vector<double>& patch, std::int64_t smallest_edge)
      : spacing_(spacing), size_(patch), smallest_edge_(static_cast<double>(smallest_edge)), kernel_(patch.size(), 1) {
    result_.pools.assign(patch.size(), 0);
    result_.strides.emplace_back(patch.size(), 1);
  }

  NetworkTopology run() {
    for (auto axes = axes_to_pool(); !axes.empty(); axes = axes_to_pool()) {
      widen_kernels();
      pool(axes);
    }
    result_.kernels.emplace_back(size_.size(), 3);  // the bottleneck's
    return std::move(result_);
  }

 private:
  /// Empty when pooling is over.
  std::vector<std::size_t> axes_to_pool() const {
    std::vector<std::size_t> long_enough, alike;
    for (std::size_t axis = 0; axis < size_.size(); ++axis)
      if (size_[axis] >= 2 * smallest_edge_) long_enough.push_back(axis);
    double finest = INFINITY;
    for (const std::size_t axis : long_enough) finest = std::min(finest, spacing_[axis]);
    for (const std::size_t axis : long_enough)
      if (spacing_[axis] / finest < kAlike) alike.push_back(axis);
    if (alike.size() == 1 && size_[alike[0]] < 3 * smallest_edge_) return {};
    return alike;
  }

  void widen_kernels() {
    const double finest = *std::min_element(spacing_.begin(), spacing_.end());
    for (std::size_t axis = 0; axis < size_.size(); ++axis)
      if (spacing_[axis] / finest < kAlike) kernel_[axis] = 3;
  }

  void pool(const std::vector<std::size_t>& axes) {
    std::vector<std::int64_t> stride(size_.size(), 1);
    for (const std::size_t axis : axes) {
      stride[axis] = 2;
      ++result_.pools[axis];
      spacing_[axis] *= 2;
      size_[axis] = std::ceil(size_[axis] / 2);
    }
    result_.strides.push_back(std::move(stride));
    result_.kernels.push_back(kernel_);
  }

  std::vector<double> spacing_, size_;
  double smallest_edge_;
  std::vector<std::int64_t> kernel_;
  NetworkTopology result_;
};

}  // namespace

NetworkTopology network_topology(const std::vector<double>& spacing, const std::vector<double>& patch,
                                 std::int64_t smallest_edge) {
  NetworkTopology topology = TopologySearch(spacing, patch, smallest_edge).run();
  for (std::size_t axis = 0; axis < patch.size(); ++axis) {
    const std::int64_t divisor = std::int64_t{1} << topology.pools[axis];
    topology.divisors.push_back(divisor);
    topology.patch.push_back(static_cast<std::int64_t>(std::ceil(patch[axis] / static_cast<double>(divisor))) *
                             divisor);
  }
  return topology;
}

}  // namespace m3d
