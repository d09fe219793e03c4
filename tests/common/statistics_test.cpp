#include "common/statistics.h"

#include "tests/catch.h"

using namespace m3d;

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

TEST_CASE("the rank-sum test is exact, with ties too") {
  // Hollander and Wolfe (1973), permeability of the membrane; R: wilcox.test(x, y)$p.value
  const std::vector<double> x = {0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
  const std::vector<double> y = {1.15, 0.88, 0.90, 0.74, 1.21};
  CHECK(rank_sum(x, y) == Approx(0.25441225441225).epsilon(1e-12));
  CHECK(rank_sum(y, x) == Approx(0.25441225441225).epsilon(1e-12));
  CHECK(rank_sum({1, 2, 3}, {4, 5, 6}) == Approx(0.1));
  // By enumeration of all 462 divisions of the pooled ranks.
  CHECK(rank_sum({1, 1, 2, 3, 3}, {2, 3, 4, 4, 5, 6}) == Approx(1.0 / 21).epsilon(1e-12));
  CHECK(rank_sum({2, 2}, {2, 2, 2}) == 1);
  CHECK(rank_sum({}, {1}) == 1);
}

TEST_CASE("the shift between samples is that of Hodges and Lehmann, with the exact interval") {
  // R: wilcox.test(x, y, conf.int = TRUE): 0.305, -0.15 to 0.76, x minus y
  const Shift shift =
      shift_between({0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46}, {1.15, 0.88, 0.90, 0.74, 1.21});
  CHECK(shift.estimate == Approx(-0.305));
  CHECK(shift.low == Approx(-0.76));
  CHECK(shift.high == Approx(0.15));
  const Shift tiny = shift_between({1}, {3});
  CHECK((tiny.low == 2 && tiny.estimate == 2 && tiny.high == 2));
}
