#include "datasets/numerics/numpy_statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

#include "datasets/parallel.h"

namespace m3d {
namespace {

constexpr std::size_t kUnrolled = 8, kPairwiseBlock = 128;
constexpr std::size_t kPartOfSum = 1 << 20;
constexpr std::uint32_t kSignBit = 0x80000000U;
constexpr std::size_t kHalves = 1 << 16;

/// Where numpy splits a sum of `n`.
std::size_t half_of(std::size_t n) { return n / 2 - n / 2 % kUnrolled; }

/// numpy's pairwise summation of f(0) … f(n - 1) from `first` on: halves of multiples of 8 down to blocks of 128, in
/// which eight running sums are added up in pairs.
template <class Value>
float pairwise_sum(const Value& value, std::size_t first, std::size_t n) {
  if (n > kPairwiseBlock) {
    const std::size_t half = half_of(n);
    return pairwise_sum(value, first, half) + pairwise_sum(value, first + half, n - half);
  }
  if (n < kUnrolled) {
    float sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += value(first + i);
    return sum;
  }
  float sums[kUnrolled];
  for (std::size_t k = 0; k < kUnrolled; ++k) sums[k] = value(first + k);
  std::size_t i = kUnrolled;
  for (; i + kUnrolled <= n; i += kUnrolled)
    for (std::size_t k = 0; k < kUnrolled; ++k) sums[k] += value(first + i + k);
  float sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  for (; i < n; ++i) sum += value(first + i);
  return sum;
}

/// Leaves of the recursion above that are worth a thread each; their sums add up to the same number.
template <class Value>
float parallel_pairwise_sum(const Value& value, std::size_t n) {
  struct Part {
    std::size_t first, count;
    float sum;
  };
  std::vector<Part> parts;
  const std::function<void(std::size_t, std::size_t)> split = [&](std::size_t first, std::size_t count) {
    if (count <= kPartOfSum) return parts.push_back({first, count, 0});
    const std::size_t half = half_of(count);
    split(first, half);
    split(first + half, count - half);
  };
  split(0, n);
  parallel_for(std::ssize(parts), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      parts[i].sum = pairwise_sum(value, parts[i].first, parts[i].count);
  });
  std::size_t next = 0;
  const std::function<float(std::size_t)> join = [&](std::size_t count) {
    if (count <= kPartOfSum) return parts[next++].sum;
    const float left = join(half_of(count));
    return left + join(count - half_of(count));
  };
  return join(n);
}

struct QuantilePosition {
  QuantilePosition(std::size_t count, double fraction) {
    const double at = static_cast<double>(count - 1) * fraction;
    below = static_cast<std::size_t>(std::floor(at));
    above = std::min(below + 1, count - 1);
    part = at - std::floor(at);
  }

  template <class T>
  double between(T low, T high) const {
    const T difference = high - low;
    return part >= 0.5 ? high - difference * (1 - part) : low + difference * part;
  }

  std::size_t below, above;
  double part;
};

/// Unsigned integers in the order of the floats.
std::uint32_t ordered_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return (bits & kSignBit) != 0 ? ~bits : bits | kSignBit;
}

float float_of(std::uint32_t bits) { return std::bit_cast<float>((bits & kSignBit) != 0 ? bits & ~kSignBit : ~bits); }

/// The value at each rank of the sorted sequence, without sorting it: a histogram of the upper halves of the bits, then
/// one of the lower halves for every upper half in which a rank falls.
std::vector<float> values_of_ranks(std::span<const float> values, const std::vector<std::size_t>& ranks) {
  std::vector<std::size_t> upper(kHalves, 0);
  for (const float value : values) ++upper[ordered_bits(value) >> 16];
  struct Target {
    std::size_t upper, rank_within;
  };
  std::vector<Target> targets;
  std::map<std::size_t, std::vector<std::size_t>> lower;
  for (const std::size_t rank : ranks) {
    std::size_t half = 0, before = 0;
    while (before + upper[half] <= rank) before += upper[half++];
    targets.push_back({half, rank - before});
    lower[half].resize(kHalves, 0);
  }
  std::vector<std::size_t*> counters(kHalves, nullptr);
  for (auto& [half, counts] : lower) counters[half] = counts.data();
  for (const float value : values) {
    const std::uint32_t bits = ordered_bits(value);
    if (std::size_t* counts = counters[bits >> 16]) ++counts[bits & (kHalves - 1)];
  }
  std::vector<float> found;
  for (const Target& target : targets) {
    const std::vector<std::size_t>& counts = lower[target.upper];
    std::size_t half = 0, before = 0;
    while (before + counts[half] <= target.rank_within) before += counts[half++];
    found.push_back(float_of(static_cast<std::uint32_t>(target.upper << 16 | half)));
  }
  return found;
}

}  // namespace

double numpy_quantile(std::span<double> values, double fraction) {
  const QuantilePosition at(values.size(), fraction);
  std::sort(values.begin(), values.end());
  return at.between(values[at.below], values[at.above]);
}

std::vector<double> numpy_quantiles(std::span<const float> values, const std::vector<double>& fractions) {
  std::vector<QuantilePosition> positions;
  std::vector<std::size_t> ranks;
  for (const double fraction : fractions) {
    positions.emplace_back(values.size(), fraction);
    ranks.insert(ranks.end(), {positions.back().below, positions.back().above});
  }
  const std::vector<float> found = values_of_ranks(values, ranks);
  std::vector<double> quantiles;
  for (std::size_t i = 0; i < positions.size(); ++i)
    quantiles.push_back(positions[i].between(found[2 * i], found[2 * i + 1]));
  return quantiles;
}

double numpy_median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 != 0 ? values[half] : (values[half - 1] + values[half]) / 2;
}

float numpy_sum(std::span<const float> values) {
  return parallel_pairwise_sum([&](std::size_t i) { return values[i]; }, values.size());
}

float numpy_standard_deviation(std::span<const float> values, float mean) {
  const auto square = [&](std::size_t i) {
    const float difference = values[i] - mean;
    return difference * difference;
  };
  return std::sqrt(parallel_pairwise_sum(square, values.size()) / static_cast<float>(values.size()));
}

}  // namespace m3d
