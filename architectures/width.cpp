#include "architectures/width.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "architectures/macs.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr double kTolerance = 0.02, kGoodEnough = 0.002;

std::int64_t scaled(std::int64_t width, double factor, std::int64_t multiple) {
  const double units = factor * static_cast<double>(width) / static_cast<double>(multiple);
  return multiple * std::max<std::int64_t>(1, std::llround(units));
}

class Search {
 public:
  Search(const Architecture& architecture, const Json& options, const NetworkInput& input, Budget budget,
         std::int64_t target)
      : architecture_(architecture), options_(options), input_(input), budget_(budget), target_(target) {}

  /// What the options cost; nothing where the network cannot be built with them.
  std::optional<std::int64_t> try_options(const Json& options) {
    std::int64_t cost = 0;
    try {
      cost = budget_ == Budget::parameters ? count_parameters(architecture_, input_, options)
                                           : count_macs(architecture_, input_, options).total();
    } catch (const UserError&) {
      return std::nullopt;
    }
    const double distance = std::abs(static_cast<double>(cost - target_)) / static_cast<double>(target_);
    if (distance < error()) best_ = WidthMatch{options, cost};
    return cost;
  }

  void bisect() {
    double low = 1.0 / 64, high = 64;
    for (int i = 0; i < 24 && !good_enough(); ++i) {
      const double middle = std::sqrt(low * high);
      const auto cost = try_options(scaled_widths(architecture_, options_, middle, Json::object()));
      // A width that cannot be built is passed by on the side of the smaller ones.
      (cost && *cost < target_ ? low : high) = middle;
    }
  }

  /// Steps of single widths that bring the cost nearer, until none does.
  void refine() {
    for (bool improved = best_.has_value(); improved && !good_enough();) {
      improved = false;
      for (const auto& width : architecture_.widths) {
        const Json start = best_->options.at(width.name);
        const std::size_t entries = start.is_array() ? start.size() : 1;
        for (std::size_t i = 0; i < entries && !good_enough(); ++i)
          for (const std::int64_t step : {width.multiple_of(i), -width.multiple_of(i)})
            improved |= step_entry(width, i, step);
      }
    }
  }

  const std::optional<WidthMatch>& best() const { return best_; }
  double error() const {
    return best_ ? std::abs(static_cast<double>(best_->reached - target_)) / static_cast<double>(target_) : 1e300;
  }

 private:
  bool good_enough() const { return error() <= kGoodEnough; }

  bool step_entry(const WidthOption& width, std::size_t entry, std::int64_t step) {
    Json options = best_->options;
    Json& value = options[width.name].is_array() ? options[width.name][entry] : options[width.name];
    const std::int64_t changed = value.get<std::int64_t>() + step;
    if (changed < width.multiple_of(entry)) return false;
    value = changed;
    const double before = error();
    try_options(options);
    return error() < before;
  }

  const Architecture& architecture_;
  const Json& options_;
  const NetworkInput& input_;
  Budget budget_;
  std::int64_t target_;
  std::optional<WidthMatch> best_;
};

}  // namespace

Json scaled_widths(const Architecture& architecture, const Json& options, double factor, const Json& kept) {
  Json result = options;
  for (const auto& width : architecture.widths) {
    if (kept.contains(width.name)) continue;
    Json& value = result.at(width.name);
    if (!value.is_array()) value = scaled(value.get<std::int64_t>(), factor, width.multiple);
    for (std::size_t i = 0; value.is_array() && i < value.size(); ++i)
      value[i] = scaled(value[i].get<std::int64_t>(), factor, width.multiple_of(i));
  }
  return result;
}

WidthMatch match_width(const Architecture& architecture, const Json& options, const NetworkInput& input, Budget budget,
                       std::int64_t target) {
  if (architecture.widths.empty()) throw UserError(architecture.name + " has no option that sets its width");
  Search search(architecture, options, input, budget, target);
  search.try_options(options);  // those that fit already stay as they are
  search.bisect();
  search.refine();
  if (search.error() <= kTolerance) return *search.best();
  const std::string what = budget == Budget::parameters ? " parameters" : " MACs";
  throw UserError("no width of " + architecture.name + " comes within 2 % of " + std::to_string(target) + what +
                  (search.best() ? "; the nearest has " + std::to_string(search.best()->reached) : ""));
}

}  // namespace m3d
