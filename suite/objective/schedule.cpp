#include <algorithm>
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

/// From `start` to `peak` in the first part of a run of `length` units, to `end` in the rest, along half cosines.
double there_and_back(const Json& settings, double start, double peak, double end, double position, double length) {
  const double turn = setting(settings, "one_cycle_rise", 0.3) * length - 1;
  if (position < turn) return cosine_course(start, peak, position / turn);
  const double rest = length - 1 - turn;
  return cosine_course(peak, end, rest > 0 ? (position - turn) / rest : 0);
}

/// A rise to the learning rate, then a fall to almost nothing (Smith 2018, as PyTorch's OneCycleLR has it).
double one_cycle(const Json& settings, double highest, double position, double length) {
  const double start = highest / setting(settings, "one_cycle_start_divisor", 25.0);
  const double end = start / setting(settings, "one_cycle_end_divisor", 1e4);
  return there_and_back(settings, start, highest, end, position, length);
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

/// Where a step lies in the schedule after the warm-up, in the schedule's unit.
struct Position {
  double position, length;
};

Position position_of(const Json& settings, std::int64_t step, std::int64_t total_steps, std::int64_t steps_per_epoch) {
  const std::string by = setting(settings, "schedule_by", std::string("epoch"));
  if (by != "epoch" && by != "step")
    throw UserError("train.schedule_by: " + unknown_name_message("unit", by, {"epoch", "step"}));
  const std::int64_t unit = by == "epoch" ? steps_per_epoch : 1;
  const auto warmup = setting(settings, "warmup_steps", std::int64_t{0});
  const std::int64_t units = (total_steps - warmup + unit - 1) / unit;
  return {static_cast<double>(std::max<std::int64_t>(0, step - warmup) / unit), static_cast<double>(units)};
}

}  // namespace

std::optional<double> beta1_at(const Json& train_settings, std::int64_t step, std::int64_t total_steps,
                               std::int64_t steps_per_epoch) {
  const auto range = setting(train_settings, "one_cycle_beta1", std::vector<double>{});
  if (range.empty() || setting(train_settings, "schedule", std::string("poly")) != "one_cycle") return std::nullopt;
  if (range.size() != 2)
    throw UserError("train.one_cycle_beta1: expected the lowest and the highest value, as in [0.85, 0.95], got " +
                    Json(range).dump());
  const Position at = position_of(train_settings, step, total_steps, steps_per_epoch);
  return there_and_back(train_settings, range[1], range[0], range[1], at.position, at.length);
}

double learning_rate_at(const Json& train_settings, std::int64_t step, std::int64_t total_steps,
                        std::int64_t steps_per_epoch) {
  const double highest = setting(train_settings, "learning_rate", 1e-3);
  const std::int64_t warmup = setting(train_settings, "warmup_steps", std::int64_t{0});
  if (step < warmup) {
    const double start = setting(train_settings, "warmup_start_factor", 1.0 / 3);
    return highest * (start + (1 - start) * static_cast<double>(step) / static_cast<double>(warmup));
  }
  const Position at = position_of(train_settings, step, total_steps, steps_per_epoch);
  return rate_at(train_settings, highest, at.position, at.length);
}

}  // namespace m3d
