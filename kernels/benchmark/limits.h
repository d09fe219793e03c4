#pragma once
// What this machine can do at most, measured in the run that is judged by it.
#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "kernels/benchmark/benchmark.h"

namespace m3d::bench {

/// The least time of a piece of work, and what sets it: "memory", "arithmetic" or "exponential".
struct Floor {
  double seconds = 0;
  std::string kind;
};

/// The limits of one device at the number of threads in use when the object is made. Each quantity is measured the
/// first time that it is asked for, best of several, a few hundredths of a second each.
class Limits {
 public:
  explicit Limits(at::Device device);

  /// Bytes per second of a[i] = b[i] + s c[i], three arrays counted, the arrays `working_set` bytes together (rounded
  /// down to 4, 5, 6 or 7 times a power of two, between 256 KiB and 256 MiB): what fits a cache is judged by that
  /// cache. The better of stores through and past the caches.
  double bandwidth(double working_set);
  /// Float32 multiply-adds, and exp2, per second, in registers; 0, not known, on CUDA devices.
  double operations_per_second();
  double exponentials_per_second();

  /// The largest of bytes / bandwidth, operations / rate and exponentials / rate.
  Floor floor_of(const Work& work);

  /// What has been measured: bandwidth by working set in bytes.
  const std::map<std::int64_t, double>& bandwidths() const { return bandwidths_; }

 private:
  at::Device device_;
  int threads_;
  std::map<std::int64_t, double> bandwidths_;
  double operations_ = -1, exponentials_ = -1;
};

}  // namespace m3d::bench
