#pragma once
// numpy.random.RandomState as far as nnU-Net's splits and voxel samples need it (nnunet_conventions.md §2, §12):
// MT19937 seeded by init_genrand, bounded integers by masked rejection of 32-bit outputs.
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace m3d {

class NumpyRandom {
 public:
  explicit NumpyRandom(std::uint32_t seed) : generator_(seed) {}

  std::uint32_t next() { return static_cast<std::uint32_t>(generator_()); }
  /// Uniform in [0, maximum]; draws nothing when maximum is 0.
  std::uint32_t interval(std::uint32_t maximum);
  /// Fisher-Yates from the end.
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t i = values.size(); i-- > 1;) std::swap(values[i], values[interval(static_cast<std::uint32_t>(i))]);
  }
  /// `count` of 0 … n-1, each once: the first of a shuffled arange. Requires count <= n.
  std::vector<std::int64_t> choice_without_replacement(std::int64_t n, std::int64_t count);
  /// `count` independent draws of 0 … n-1.
  std::vector<std::int64_t> choice_with_replacement(std::int64_t n, std::int64_t count);

 private:
  std::mt19937 generator_;
};

}  // namespace m3d
