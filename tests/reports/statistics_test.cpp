#include "reports/statistics.h"

#include "tests/catch.h"

using namespace m3d::reports;

TEST_CASE("Wilcoxon's signed-rank test is exact") {
  // scipy.stats.wilcoxon([0.8, 1.2, -0.3, 0.5, 2.1, -0.9, 1.7, 0.4], method="exact").pvalue
  CHECK(wilcoxon_signed_rank({0.8, 1.2, -0.3, 0.5, 2.1, -0.9, 1.7, 0.4}) == Approx(0.109375).epsilon(1e-12));
  // scipy.stats.wilcoxon([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], method="exact").pvalue
  CHECK(wilcoxon_signed_rank({0.1, 0.2, 0.3, 0.4, 0.5, 0.6}) == Approx(0.03125).epsilon(1e-12));
  // Ties and a zero: scipy.stats.wilcoxon([1, 1, 2, -2, 3, 0, -1, 4, 2],
  //                                       method=PermutationMethod(n_resamples=np.inf)).pvalue
  CHECK(wilcoxon_signed_rank({1, 1, 2, -2, 3, 0, -1, 4, 2}) == Approx(0.1640625).epsilon(1e-12));
}

TEST_CASE("Wilcoxon's test of no difference is 1") {
  CHECK(wilcoxon_signed_rank({0, 0, 0}) == 1);
  CHECK(wilcoxon_signed_rank({1, -1}) == 1);
}

TEST_CASE("Holm's adjustment never falls along the ordered p-values") {
  // statsmodels multipletests([0.01, 0.04, 0.03, 0.005], method="holm"): 0.03, 0.06, 0.06, 0.02
  const std::vector<double> adjusted = holm({0.01, 0.04, 0.03, 0.005});
  CHECK(adjusted[0] == Approx(0.03));
  CHECK(adjusted[1] == Approx(0.06));
  CHECK(adjusted[2] == Approx(0.06));
  CHECK(adjusted[3] == Approx(0.02));
  CHECK(holm({0.6, 0.7}) == std::vector<double>{1, 1});
  CHECK(holm({}).empty());
}

TEST_CASE("the spread is the sample standard deviation, absent for one value") {
  const Summary summary = summarise({1, 2, 4, 7});  // numpy.std([1, 2, 4, 7], ddof=1)
  CHECK(*summary.mean == Approx(3.5));
  CHECK(*summary.deviation == Approx(2.6457513110645907).epsilon(1e-12));
  CHECK_FALSE(summarise({3}).deviation.has_value());
  CHECK_FALSE(summarise(std::vector<double>{}).mean.has_value());
}

TEST_CASE("quantiles interpolate as NumPy's do") {
  CHECK(quantile({7, 1, 4, 2}, 0.25) == Approx(1.75));  // numpy.quantile([1, 2, 4, 7], [.25, .5, .9])
  CHECK(quantile({7, 1, 4, 2}, 0.5) == Approx(3));
  CHECK(quantile({7, 1, 4, 2}, 0.9) == Approx(6.1));
}
