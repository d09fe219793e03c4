#pragma once
#include <string>
#include <vector>

namespace m3d::reports {

struct AxisRange {
  double low = 0, high = 1;
};

/// A logarithmic axis between two places of the picture, in millimetres.
struct LogAxis {
  AxisRange range;
  double from_mm = 0, to_mm = 1;
  double mm(double value) const;
  double value(double mm) const;
};
/// The axis on which `low` and `high` (above 0, at least a factor of 1.5 apart) have those margins.
LogAxis log_axis(double low, double high, double from_mm, double to_mm, double low_margin_mm, double high_margin_mm);

/// A round step (1, 2 or 5 times a power of ten) that cuts the range into at most `most` parts.
double round_step(double span, int most);

/// Round values within a logarithmic axis: the fewest of 1-3, 1-2-5, 1-1.5-2-3-5-7 and linear steps that give at least
/// three. As gnuplot's list of tics: ("1" 1, "2" 2).
std::string log_ticks(const AxisRange& range);

}  // namespace m3d::reports
