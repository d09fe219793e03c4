#pragma once
// Does an axis make a difference? Paired tests over cases, and a plain sentence over seeds.
#include <string>
#include <vector>

#include "reports/section.h"
#include "reports/table.h"

namespace m3d::reports {

/// Fewer paired cases than this cannot reach p < 0.05 in a two-sided signed-rank test (2/2⁵ = 0.0625).
inline constexpr std::size_t kFewestCases = 6;

/// Configurations that are equal but for one axis; the first holds the axis' first value.
struct Comparison {
  std::string axis;
  std::string held;  // the other varied axes: "UlikeMamba_3d, multiscale none"
  std::vector<const Configuration*> members;
};
std::vector<Comparison> comparisons_of(const Section& section);

/// For every comparison, each value against the first: per-case mean Dice differences, exact Wilcoxon signed-rank test,
/// Holm's adjustment over the whole table.
Table difference_table(const Section& section);

/// For every comparison with several seeds and every probe group (and the mean): whether any two values differ by more
/// than twice the larger of their spreads over seeds.
std::vector<std::string> seed_sentences(const Section& section);

}  // namespace m3d::reports
