#include "kernels/benchmark/measure.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>

#include "kernels/benchmark/clock.h"

namespace m3d::bench {
namespace {

constexpr double kGroupBytes = 2e9;
constexpr double kPartSeconds = 0.002;  // long against the clock, and on CUDA against waiting for the device
constexpr std::size_t kFewestParts = 3;

/// A benchmark that is being measured.
struct Active {
  std::size_t index;  // in the list of measurements
  Problem problem;
  int calls = 1;  // of a timed part
};

/// Seconds of `calls` calls together.
struct Seconds {
  double wall = 0, cpu = 0;
};
Seconds time_calls(const Problem& problem, int calls, at::Device device) {
  const double wall = wall_seconds(), cpu = cpu_seconds();
  for (int i = 0; i < calls; ++i) problem.call();
  wait_for(device);
  return {wall_seconds() - wall, cpu_seconds() - cpu};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

void repeat_once(const Active& active, const MeasureOptions& options, Measurement& measurement) {
  std::vector<double> wall, cpu;
  for (double spent = 0; wall.size() < kFewestParts || spent < options.repetition_seconds;) {
    const Seconds part = time_calls(active.problem, active.calls, options.device);
    wall.push_back(part.wall / active.calls);
    cpu.push_back(part.cpu / active.calls);
    spent += part.wall;
  }
  measurement.wall.push_back(median(wall));
  measurement.cpu.push_back(median(cpu));
}

/// Makes the tensors, checks the result, warms up and finds how many calls a timed part has.
Active prepare(const Benchmark& benchmark, std::size_t index, const MeasureOptions& options, Limits& limits,
               Measurement& measurement) {
  Active active{index, benchmark.prepare(options.device), 1};
  measurement.work = active.problem.work;
  measurement.tolerance = active.problem.tolerance;
  if (options.check) measurement.failure = wrong_result(active.problem, measurement.error);
  if (!measurement.failure.empty()) return active;
  measurement.floor = limits.floor_of(active.problem.work);
  time_calls(active.problem, 1, options.device);
  const double once = time_calls(active.problem, 1, options.device).wall;
  active.calls = static_cast<int>(std::clamp(std::ceil(kPartSeconds / std::max(once, 1e-7)), 1.0, 1e4));
  return active;
}

void run_group(std::vector<Active>& group, const MeasureOptions& options, const Progress& progress,
               std::vector<Measurement>& measurements) {
  std::mt19937 random(0);
  for (int round = 0; round < options.repetitions && !group.empty(); ++round) {
    progress("timing " + std::to_string(group.size()) + " benchmarks", round + 1, options.repetitions);
    std::shuffle(group.begin(), group.end(), random);
    for (const Active& active : group) repeat_once(active, options, measurements[active.index]);
  }
  group.clear();
}

}  // namespace

std::string wrong_result(const Problem& problem, std::optional<double>& error) {
  error = problem.error(problem.call());
  // Written so that NaN is wrong.
  if (*error <= problem.tolerance) return "";
  char text[120];
  std::snprintf(text, sizeof text, "wrong result: largest relative error %.2g against the reference, tolerance %.2g",
                *error, problem.tolerance);
  return text;
}

std::vector<Measurement> measure(const std::vector<Benchmark>& benchmarks, const MeasureOptions& options,
                                 Limits& limits, const Progress& progress) {
  std::vector<Measurement> measurements(benchmarks.size());
  std::vector<Active> group;
  double bytes = 0;
  for (std::size_t i = 0; i < benchmarks.size(); ++i) {
    progress("checking and preparing", static_cast<long>(i) + 1, static_cast<long>(benchmarks.size()));
    measurements[i].name = benchmarks[i].name;
    try {
      Active active = prepare(benchmarks[i], i, options, limits, measurements[i]);
      if (!measurements[i].failure.empty()) continue;
      bytes += active.problem.work.bytes;
      group.push_back(std::move(active));
    } catch (const std::exception& thrown) {
      measurements[i].failure = thrown.what();
    }
    if (bytes < kGroupBytes) continue;
    run_group(group, options, progress, measurements);
    bytes = 0;
  }
  run_group(group, options, progress, measurements);
  return measurements;
}

}  // namespace m3d::bench
