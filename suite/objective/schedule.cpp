#include <cmath>
#include <numbers>

#include "common/error.h"
#include "common/nearest_name.h"
#include "suite/objective/optimiser.h"
#include "suite/objective/setting.h"

namespace m3d {
namespace {

/// From `start` to `end` along half a cosine; `share` in [0, 1].
double cosine_course(double start, double end, double share) {
  return end + (start - end) / 2 * (1 + std::cos(std::numbers::pi * share));
}

/// A rise to the learning rate, then a fall to almost nothing (Smith 2018, as PyTorch's OneCycleLR has it).
double one_cycle(const Json& settings, double highest, double position, double length) {
  const double start = highest / setting(settings, "one_cycle_start_divisor", 25.0);
  const double end = start / setting(settings, "one_cycle_end_divisor", 1e8);
  const double peak = setting(settings, "one_cycle_rise", 0.1) * length - 1;
  if (position <= peak) return cosine_course(start, highest, position / peak);
  return cosine_course(highest, end, (position - peak) / (length - 1 - peak));
}

double rate_at(const Json& settings, double highest, double position, double length) {
  const std::string schedule = setting(settings, "schedule", std::string("poly"));
  if (schedule == "constant") return highest;
  if (schedule == "poly") return highest * std::pow(1 - position / length, setting(settings, "poly_power", 0.9));
  if (schedule == "linear") return highest * (1 - position / length);
  if (schedule == "cosine") {
    const double period = setting(settings, "cosine_period", 0.0);
    return cosine_course(highest, setting(settings, "minimum_learning_rate", 0.0),
                         position / (period > 0 ? period : length));
  }
  if (schedule == "one_cycle") return one_cycle(settings, highest, position, length);
  throw UserError("train.schedule: " +
                  unknown_name_message("schedule", schedule, {"poly", "constant", "linear", "cosine", "one_cycle"}));
}

}  // namespace

double learning_rate_at(const Json& train_settings, std::int64_t step, std::int64_t total_steps,
                        std::int64_t steps_per_epoch) {
  const double highest = setting(train_settings, "learning_rate", 1e-3);
  const std::int64_t warmup = setting(train_settings, "warmup_steps", std::int64_t{0});
  if (step < warmup) {
    const double start = setting(train_settings, "warmup_start_factor", 1.0 / 3);
    return highest * (start + (1 - start) * static_cast<double>(step) / static_cast<double>(warmup));
  }
  const std::string by = setting(train_settings, "schedule_by", std::string("epoch"));
  if (by != "epoch" && by != "step")
    throw UserError("train.schedule_by: " + unknown_name_message("unit", by, {"epoch", "step"}));
  const std::int64_t unit = by == "epoch" ? steps_per_epoch : 1;
  const std::int64_t units = (total_steps - warmup + unit - 1) / unit;
  return rate_at(train_settings, highest, static_cast<double>((step - warmup) / unit), static_cast<double>(units));
}

}  // namespace m3d
