#pragma once
// Did kernels become slower? A verdict needs a factor and a proof, and is never forced from noise.
#include <string>
#include <vector>

#include "suite/regression/kernel_results.h"

namespace m3d {

enum class SpeedVerdict {
  same,       // the interval of the ratio lies within the factor on both sides
  faster,     // by the factor or more, and significantly
  slower,     // likewise
  ambiguous,  // factor and test disagree, or the interval is too wide to say
  unknown     // not on both sides, too few repetitions, failed, or another machine
};
std::string to_string(SpeedVerdict verdict);

struct ComparisonOptions {
  double factor = 1.05;
  /// Of the whole family of benchmarks, after Holm's adjustment. A gate that stands in a CI runs thousands of times:
  /// at 5 % it would stop a change that did nothing every other week.
  double significance = 0.001;
  bool cpu_time = false;  // compare processor time instead of wall time
};

/// Fewer samples on either side: unknown. Nine against nine reach p = 4e-5, enough for a family of 24; twelve against
/// twelve reach 7e-7, enough for a thousand.
inline constexpr std::size_t kFewestSamples = 9;

struct SpeedComparison {
  std::string name;
  SpeedVerdict verdict = SpeedVerdict::unknown;
  std::string reason;  // why unknown or ambiguous
  std::size_t samples_before = 0, samples_after = 0;
  double before = 0, after = 0;         // medians of the samples, milliseconds; 0: none
  double ratio = 0, low = 0, high = 0;  // after / before, Hodges-Lehmann, with its 95 % interval
  double p = 1;                         // rank-sum test, adjusted
};

struct SpeedReport {
  std::vector<SpeedComparison> comparisons;  // by name
  std::vector<std::string> remarks;          // how the two sides' contexts differ

  bool any_slower() const;
};

/// Each side: one run, whose repetitions are the samples; or several, alternated with the other side's, of which each
/// gives its median as one sample (repetitions of one process share its luck and are no independent samples).
/// Where the machines of the runs differ, every verdict is unknown. Throws UserError for an empty side.
SpeedReport compare_speed(const std::vector<KernelResults>& before, const std::vector<KernelResults>& after,
                          const ComparisonOptions& options);

Json to_json(const SpeedReport& report);

}  // namespace m3d
