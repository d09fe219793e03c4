#include "suite/regression/comparison.h"

#include "common/error.h"
#include "tests/catch.h"
#include "tests/suite/regression/synthetic_results.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Matchers::Contains;

namespace {

SpeedReport compare(const KernelResults& before, const KernelResults& after) {
  return compare_speed({before}, {after}, {});
}

/// The comparison of one benchmark whose times differ by `ratio`, with the given noise on both sides.
SpeedComparison compare_times(double ratio, double spread, int count, std::mt19937& random) {
  const auto run = [&](double time) {
    return run_of({result_with("op/forward", noisy_times(time, spread, count, random))});
  };
  const KernelResults before = run(10), after = run(10 * ratio);
  return compare(before, after).comparisons.at(0);
}

int count_verdicts(SpeedVerdict verdict, double ratio, double spread, int samples) {
  std::mt19937 random(7);
  int count = 0;
  for (int i = 0; i < 200; ++i) count += compare_times(ratio, spread, samples, random).verdict == verdict;
  return count;
}

}  // namespace

TEST_CASE("identical code under noise is the same, and never slower") {
  CHECK(count_verdicts(SpeedVerdict::same, 1, 0.02, 15) == 200);
  for (const double spread : {0.02, 0.05, 0.2}) {
    CHECK(count_verdicts(SpeedVerdict::slower, 1, spread, 12) == 0);
    CHECK(count_verdicts(SpeedVerdict::faster, 1, spread, 12) == 0);
  }
}

TEST_CASE("a slowdown of ten percent and of two is found, and so is the gain") {
  CHECK(count_verdicts(SpeedVerdict::slower, 1.10, 0.02, 12) == 200);
  CHECK(count_verdicts(SpeedVerdict::slower, 2.0, 0.1, 12) == 200);
  CHECK(count_verdicts(SpeedVerdict::faster, 0.5, 0.1, 12) == 200);
}

TEST_CASE("noise forces no verdict") {
  CHECK(count_verdicts(SpeedVerdict::ambiguous, 1.10, 0.5, 10) > 150);
  // A difference that is real but below the factor is the same or, where the interval reaches the factor, ambiguous.
  CHECK(count_verdicts(SpeedVerdict::same, 1.02, 0.01, 15) == 200);
  CHECK(count_verdicts(SpeedVerdict::slower, 1.03, 0.02, 15) == 0);
}

TEST_CASE("fewer than nine samples are unknown") {
  std::mt19937 random(1);
  const SpeedComparison comparison = compare_times(2, 0.001, 8, random);
  CHECK(comparison.verdict == SpeedVerdict::unknown);
  CHECK_THAT(comparison.reason, Contains("fewer than 9"));
  CHECK(comparison.before == Approx(10).epsilon(0.01));
  CHECK(compare_times(2, 0.001, 9, random).verdict == SpeedVerdict::slower);
}

TEST_CASE("a benchmark on one side only, or failed, is unknown") {
  const std::vector<double> times(12, 1.0);
  KernelResult failed = result_with("c", {});
  failed.failure = "wrong result";
  const SpeedReport report =
      compare(run_of({result_with("a", times), result_with("c", times)}), run_of({result_with("b", times), failed}));
  REQUIRE(report.comparisons.size() == 3);
  CHECK_THAT(report.comparisons[0].reason, Contains("only in the baseline"));
  CHECK_THAT(report.comparisons[1].reason, Contains("new"));
  CHECK_THAT(report.comparisons[2].reason, Contains("wrong result"));
  for (const auto& comparison : report.comparisons) CHECK(comparison.verdict == SpeedVerdict::unknown);
  CHECK_FALSE(report.any_slower());
}

TEST_CASE("another machine gets no verdict, other tools a remark") {
  const KernelResults before = run_of({result_with("a", std::vector<double>(12, 1.0))});
  KernelResults after = run_of({result_with("a", std::vector<double>(12, 2.0))});
  CHECK(compare(before, after).any_slower());
  after.context.compiler = "GCC 13";
  SpeedReport report = compare(before, after);
  CHECK(report.any_slower());
  CHECK_THAT(report.remarks.at(0), Contains("GCC 13"));
  after.context.threads = 4;
  report = compare(before, after);
  CHECK_FALSE(report.any_slower());
  CHECK(report.comparisons[0].verdict == SpeedVerdict::unknown);
  CHECK(report.comparisons[0].reason == "another machine");
  CHECK_THAT(report.remarks.at(0), Contains("not the same machine"));
}

TEST_CASE("of several runs each is one sample") {
  std::mt19937 random(3);
  std::vector<KernelResults> before, after;
  // Repetitions of a run agree closely, runs do not: pooled, they would prove what is luck.
  for (int i = 0; i < 9; ++i) {
    before.push_back(run_of({result_with("a", noisy_times(noisy_times(1, 0.3, 1, random)[0], 1e-3, 20, random))}));
    after.push_back(run_of({result_with("a", noisy_times(noisy_times(1, 0.3, 1, random)[0], 1e-3, 20, random))}));
  }
  const SpeedReport report = compare_speed(before, after, {});
  CHECK(report.comparisons[0].samples_before == 9);
  CHECK(report.comparisons[0].verdict == SpeedVerdict::ambiguous);
  CHECK_THROWS_AS(compare_speed({}, after, {}), UserError);
}

TEST_CASE("among many benchmarks, luck is not proof") {
  std::mt19937 random(11);
  int slower = 0;
  for (int family = 0; family < 20; ++family) {
    std::vector<KernelResult> before, after;
    for (int i = 0; i < 50; ++i) {
      const std::string name = "op/" + std::to_string(i);
      before.push_back(result_with(name, noisy_times(1, 0.2, 12, random)));
      after.push_back(result_with(name, noisy_times(1, 0.2, 12, random)));
    }
    slower += compare(run_of(before), run_of(after)).any_slower();
  }
  CHECK(slower == 0);
}
