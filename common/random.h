#pragma once
// Counter-based random numbers: element i of a stream depends on (seed, stream name, i) alone, so that the order
// in which threads ask for samples never matters and a resumed run needs no generator state.
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

#include "common/hash.h"

namespace m3d {

class RandomStream {
 public:
  /// Streams of different names (or sub-indices) are independent.
  RandomStream(std::uint64_t seed, std::string_view name, std::uint64_t index = 0)
      : key_(splitmix64(splitmix64(seed ^ fnv1a64(name)) + splitmix64(index))) {}

  std::uint64_t next() { return splitmix64(key_ + 0x9E3779B97F4A7C15ULL * counter_++); }
  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [low, high].
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(uniform() * static_cast<double>(high - low + 1));
  }
  /// Standard normal (Box-Muller, one of the pair).
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
};

/// The values that the reference records derive from a name, in [-1, 1); element after element.
class NamedUniform {
 public:
  explicit NamedUniform(std::string_view name) : hash_(fnv1a64(name)) {}
  double operator()(std::uint64_t index) const {
    return static_cast<double>(splitmix64(hash_ + index) >> 11) * 0x1.0p-53 * 2.0 - 1.0;
  }

 private:
  std::uint64_t hash_;
};

inline double named_uniform(std::string_view name, std::uint64_t index) { return NamedUniform(name)(index); }

}  // namespace m3d
