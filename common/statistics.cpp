#include "common/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

namespace m3d {
namespace {

/// Twice the mean rank, so that ties stay whole numbers.
std::vector<long> doubled_ranks(const std::vector<double>& values) {
  std::vector<long> ranks(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    long below = 0, equal = 0;
    for (const double other : values) {
      below += other < values[i];
      equal += other == values[i];
    }
    ranks[i] = 2 * below + equal + 1;
  }
  return ranks;
}

/// Probability of every sum of a random subset of `ranks` (each in or out with probability 1/2).
std::vector<double> subset_sum_distribution(const std::vector<long>& ranks) {
  const long total = std::accumulate(ranks.begin(), ranks.end(), 0L);
  std::vector<double> probability(static_cast<std::size_t>(total) + 1, 0.0);
  probability[0] = 1;
  for (const long rank : ranks)
    for (long sum = total; sum >= 0; --sum) {
      const double without = probability[static_cast<std::size_t>(sum)];
      const double with = sum >= rank ? probability[static_cast<std::size_t>(sum - rank)] : 0.0;
      probability[static_cast<std::size_t>(sum)] = 0.5 * (without + with);
    }
  return probability;
}

/// probability[s]: of a random choice of `size` of the ranks having the sum s.
std::vector<double> choice_sum_distribution(const std::vector<long>& ranks, std::size_t size) {
  const long total = std::accumulate(ranks.begin(), ranks.end(), 0L);
  const auto sums = static_cast<std::size_t>(total) + 1;
  // ways[k][s] over the ranks seen so far, scaled at each rank by the chance that the next one is among the chosen.
  std::vector<std::vector<double>> ways(size + 1, std::vector<double>(sums, 0.0));
  ways[0][0] = 1;
  for (std::size_t seen = 0; seen < ranks.size(); ++seen) {
    const auto left = static_cast<double>(ranks.size() - seen);
    const auto rank = static_cast<std::size_t>(ranks[seen]);
    for (std::size_t k = std::min(size, seen + 1) + 1; k-- > 0;) {
      // Of the `left` ranks still to be seen, `size - k` are chosen when k are chosen already.
      const double skipped = std::max(0.0, left - static_cast<double>(size - k)) / left;
      const double taken = k > 0 ? static_cast<double>(size - k + 1) / left : 0.0;
      for (std::size_t sum = sums; sum-- > 0;) {
        const double with = k > 0 && sum >= rank ? ways[k - 1][sum - rank] * taken : 0.0;
        ways[k][sum] = ways[k][sum] * skipped + with;
      }
    }
  }
  return ways[size];
}

}  // namespace

Summary summarise(const std::vector<double>& values) {
  Summary summary;
  summary.n = values.size();
  if (values.empty()) return summary;
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  summary.mean = mean;
  if (values.size() < 2) return summary;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  summary.deviation = std::sqrt(squares / (n - 1));
  return summary;
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double position = q * static_cast<double>(values.size() - 1);
  const auto lower = static_cast<std::size_t>(position);
  const std::size_t upper = std::min(lower + 1, values.size() - 1);
  return values[lower] + (position - static_cast<double>(lower)) * (values[upper] - values[lower]);
}

double wilcoxon_signed_rank(const std::vector<double>& differences) {
  std::vector<double> kept, sizes;
  std::copy_if(differences.begin(), differences.end(), std::back_inserter(kept), [](double d) { return d != 0; });
  if (kept.empty()) return 1;
  for (const double difference : kept) sizes.push_back(std::abs(difference));
  const std::vector<long> ranks = doubled_ranks(sizes);
  long positive = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) positive += kept[i] > 0 ? ranks[i] : 0;
  const std::vector<double> probability = subset_sum_distribution(ranks);
  const long total = static_cast<long>(probability.size()) - 1;
  const long smaller = std::min(positive, total - positive);
  const double tail = std::accumulate(probability.begin(), probability.begin() + smaller + 1, 0.0);
  return std::min(1.0, 2 * tail);
}

double rank_sum(const std::vector<double>& first, const std::vector<double>& second) {
  if (first.empty() || second.empty()) return 1;
  std::vector<double> pooled = first;
  pooled.insert(pooled.end(), second.begin(), second.end());
  const std::vector<long> ranks = doubled_ranks(pooled);
  const long sum = std::accumulate(ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(first.size()), 0L);
  const std::vector<double> probability = choice_sum_distribution(ranks, first.size());
  double below = 0, above = 0;
  for (std::size_t s = 0; s < probability.size(); ++s) {
    if (static_cast<long>(s) <= sum) below += probability[s];
    if (static_cast<long>(s) >= sum) above += probability[s];
  }
  return std::min(1.0, 2 * std::min(below, above));
}

Shift shift_between(const std::vector<double>& first, const std::vector<double>& second, double confidence) {
  std::vector<double> differences;
  for (const double a : first)
    for (const double b : second) differences.push_back(b - a);
  std::sort(differences.begin(), differences.end());
  // The number of differences below the true shift is the Mann-Whitney statistic: its quantile says how many of the
  // sorted differences to leave out at each end. Ranks without ties: 1 to m + n.
  std::vector<long> ranks(first.size() + second.size());
  std::iota(ranks.begin(), ranks.end(), 1L);
  const std::vector<double> probability = choice_sum_distribution(ranks, first.size());
  const std::size_t smallest = first.size() * (first.size() + 1) / 2;
  std::size_t left_out = 0;
  for (double tail = 0; left_out < differences.size() / 2; ++left_out) {
    tail += probability[smallest + left_out];
    if (tail > (1 - confidence) / 2) break;
  }
  const std::size_t edge = left_out > 0 ? left_out - 1 : 0;
  return {quantile(differences, 0.5), differences[edge], differences[differences.size() - 1 - edge]};
}

std::vector<double> holm(const std::vector<double>& p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double p = p_values[order[i]] * static_cast<double>(order.size() - i);
    largest = std::max(largest, std::min(1.0, p));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

}  // namespace m3d
