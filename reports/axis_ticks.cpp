#include "reports/axis_ticks.h"

#include <fmt/format.h>

#include <cmath>

namespace m3d::reports {
namespace {

std::vector<double> multiples(const AxisRange& range, const std::vector<double>& steps) {
  std::vector<double> ticks;
  for (int decade = static_cast<int>(std::floor(std::log10(range.low))); std::pow(10, decade) <= range.high; ++decade)
    for (const double step : steps)
      if (const double value = step * std::pow(10, decade); value >= range.low && value <= range.high)
        ticks.push_back(value);
  return ticks;
}

std::vector<double> linear(const AxisRange& range) {
  const double step = round_step(range.high - range.low, 6);
  std::vector<double> ticks;
  for (double k = std::ceil(range.low / step); k * step <= range.high; ++k) ticks.push_back(k * step);
  return ticks;
}

}  // namespace

double round_step(double span, int most) {
  const double raw = span / most, power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1, 2, 5})
    if (factor * power >= raw) return factor * power;
  return 10 * power;
}

std::string log_ticks(const AxisRange& range) {
  std::vector<double> ticks = linear(range);
  for (const auto& steps : {std::vector<double>{1}, {1, 3}, {1, 2, 5}, {1, 1.5, 2, 3, 5, 7}})
    if (const auto candidate = multiples(range, steps); candidate.size() >= 3) {
      ticks = candidate;
      break;
    }
  std::string text;
  for (const double tick : ticks) text += fmt::format("{}\"{:.4g}\" {:.6g}", text.empty() ? "(" : ", ", tick, tick);
  return text + ")";
}

}  // namespace m3d::reports
