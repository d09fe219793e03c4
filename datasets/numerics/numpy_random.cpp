#include "datasets/numerics/numpy_random.h"

#include <bit>
#include <numeric>

namespace m3d {

std::uint32_t NumpyRandom::interval(std::uint32_t maximum) {
  if (maximum == 0) return 0;
  const std::uint32_t mask = ~std::uint32_t{0} >> std::countl_zero(maximum);
  std::uint32_t value = 0;
  do value = next() & mask;
  while (value > maximum);
  return value;
}

std::vector<std::int64_t> NumpyRandom::choice_without_replacement(std::int64_t n, std::int64_t count) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(n));
  std::iota(indices.begin(), indices.end(), 0);
  shuffle(indices);
  indices.resize(static_cast<std::size_t>(count));
  return indices;
}

std::vector<std::int64_t> NumpyRandom::choice_with_replacement(std::int64_t n, std::int64_t count) {
  std::vector<std::int64_t> draws(static_cast<std::size_t>(count));
  for (auto& draw : draws) draw = interval(static_cast<std::uint32_t>(n - 1));
  return draws;
}

}  // namespace m3d
