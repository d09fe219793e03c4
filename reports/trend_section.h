#pragma once
// Archived results that can be compared with each other, and how they are shown.
#include <set>
#include <string>
#include <vector>

#include "reports/figures.h"
#include "reports/table.h"
#include "suite/regression/kernel_results.h"

namespace m3d::reports {

/// Results of one machine and toolkit, oldest first.
struct TrendSection {
  std::string machine, toolkit;
  std::string prefix;  // of file names: "machine_1_"
  std::vector<KernelResults> runs;

  /// In the order of their names, as are the benchmarks of each.
  std::set<std::string> operators() const;
  std::set<std::string> benchmarks(const std::string& operator_name) const;
};

/// A section a machine and toolkit, in the order of their first result.
std::vector<TrendSection> trend_sections(std::vector<KernelResults> results);

/// "2026-01-31 0123456": a result's date and commit.
std::string run_label(const KernelResults& run);

/// The share of the machine's limit over the results, a line a benchmark of the operator.
Drawing trend_chart(const TrendSection& section, const std::string& operator_name, const Theme& theme);
/// Median milliseconds of every benchmark of the operator, a column a result; the newest first, ten at most.
Table trend_table(const TrendSection& section, const std::string& operator_name);

}  // namespace m3d::reports
