#include "reports/axis_ticks.h"

#include <fmt/format.h>

#include <algorithm>
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

double LogAxis::mm(double value) const {
  return from_mm + (to_mm - from_mm) * std::log(value / range.low) / std::log(range.high / range.low);
}

double LogAxis::value(double mm) const {
  return range.low * std::pow(range.high / range.low, (mm - from_mm) / (to_mm - from_mm));
}

LogAxis log_axis(double low, double high, double from_mm, double to_mm, double low_margin_mm, double high_margin_mm) {
  const double span = std::max(std::log(high / low), std::log(1.5)), middle = 0.5 * std::log(high * low);
  const double a_mm = span / (to_mm - from_mm - low_margin_mm - high_margin_mm);
  return {{std::exp(middle - 0.5 * span - a_mm * low_margin_mm), std::exp(middle + 0.5 * span + a_mm * high_margin_mm)},
          from_mm,
          to_mm};
}

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
