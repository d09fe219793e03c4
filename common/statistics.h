#pragma once
// The few statistics that reports and comparisons need, exact where that is affordable.
#include <optional>
#include <vector>

namespace m3d {

/// Mean and sample standard deviation (n − 1; absent for n < 2) of n values; the mean is absent for n = 0.
struct Summary {
  std::size_t n = 0;
  std::optional<double> mean, deviation;
};
Summary summarise(const std::vector<double>& values);

/// Quantile by linear interpolation between order statistics (NumPy's default). `values` is not empty, q in [0, 1].
double quantile(std::vector<double> values, double q);

/// Two-sided p-value of Wilcoxon's signed-rank test (Wilcoxon 1945) on paired differences: zeros are dropped, ties get
/// their mean rank, and the distribution is the exact one over all sign assignments of those ranks. 1 where all are
/// zero.
double wilcoxon_signed_rank(const std::vector<double>& differences);

/// Two-sided p-value of the rank-sum test (Wilcoxon 1945; Mann and Whitney 1947) that neither sample tends to larger
/// values: ties get their mean rank, and the distribution is the exact one over all ways to divide the pooled ranks.
/// 1 where a sample is empty.
double rank_sum(const std::vector<double>& first, const std::vector<double>& second);

/// How much larger `second` tends to be: the median of all differences second − first (Hodges and Lehmann 1963), and
/// the interval that the rank-sum test does not reject at the level 1 − confidence (without ties exactly). No sample is
/// empty; the interval is all differences where the samples are too small for the confidence.
struct Shift {
  double estimate = 0, low = 0, high = 0;
};
Shift shift_between(const std::vector<double>& first, const std::vector<double>& second, double confidence = 0.95);

/// Holm's step-down adjustment (Holm 1979) of a family of p-values, in the order given.
std::vector<double> holm(const std::vector<double>& p_values);

}  // namespace m3d
