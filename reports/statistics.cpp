#include "reports/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

namespace m3d::reports {
namespace {

/// Twice the mean rank of |value|, so that ties stay whole numbers.
std::vector<long> doubled_ranks(const std::vector<double>& values) {
  std::vector<long> ranks(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    long below = 0, equal = 0;
    for (const double other : values) {
      below += std::abs(other) < std::abs(values[i]);
      equal += std::abs(other) == std::abs(values[i]);
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
  std::vector<double> kept;
  std::copy_if(differences.begin(), differences.end(), std::back_inserter(kept), [](double d) { return d != 0; });
  if (kept.empty()) return 1;
  const std::vector<long> ranks = doubled_ranks(kept);
  long positive = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) positive += kept[i] > 0 ? ranks[i] : 0;
  const std::vector<double> probability = subset_sum_distribution(ranks);
  const long total = static_cast<long>(probability.size()) - 1;
  const long smaller = std::min(positive, total - positive);
  const double tail = std::accumulate(probability.begin(), probability.begin() + smaller + 1, 0.0);
  return std::min(1.0, 2 * tail);
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

}  // namespace m3d::reports
