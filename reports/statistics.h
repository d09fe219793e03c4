#pragma once
// The few statistics that the reports need, exact where that is affordable.
#include <optional>
#include <vector>

namespace m3d::reports {

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

/// Holm's step-down adjustment (Holm 1979) of a family of p-values, in the order given.
std::vector<double> holm(const std::vector<double>& p_values);

}  // namespace m3d::reports
