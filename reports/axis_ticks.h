#pragma once
#include <string>
#include <vector>

namespace m3d::reports {

struct AxisRange {
  double low = 0, high = 1;
};

/// A round step (1, 2 or 5 times a power of ten) that cuts the range into at most `most` parts.
double round_step(double span, int most);

/// Round values within a logarithmic axis: the fewest of 1-3, 1-2-5, 1-1.5-2-3-5-7 and linear steps that give at least
/// three. As gnuplot's list of tics: ("1" 1, "2" 2).
std::string log_ticks(const AxisRange& range);

}  // namespace m3d::reports
