#pragma once
// Runs benchmarks with their repetitions interleaved, so that a slow minute of the machine meets all of them.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/benchmark/limits.h"

namespace m3d::bench {

struct MeasureOptions {
  int repetitions = 15;
  double repetition_seconds = 0.02;  // at least; three timed parts or more
  bool check = true;                 // the result against the reference, before anything is timed
  at::Device device = at::kCPU;
};

struct Measurement {
  std::string name;
  Work work;
  Floor floor;
  std::optional<double> error;  // absent where it was not checked
  double tolerance = 0;
  std::string failure;  // why there are no times: a wrong result, or what was thrown
  /// Seconds of one call by wall clock and in processor time, the median within each repetition.
  std::vector<double> wall, cpu;
};

/// Told before the `step`-th of `steps`, from 1: "checking and preparing" benchmarks, "timing" a
/// group's rounds of repetitions.
using Progress = std::function<void(const std::string& what, long step, long steps)>;

/// Measures in order of `benchmarks`; a benchmark that fails costs no other. The repetitions of a group of benchmarks
/// (as many as have their tensors in 2 GiB) are taken in rounds, in a random order that is the same in every run.
std::vector<Measurement> measure(const std::vector<Benchmark>& benchmarks, const MeasureOptions& options,
                                 Limits& limits, const Progress& progress);

/// Why the results of one call are wrong; empty where they are right. Sets `error`.
std::string wrong_result(const Problem& problem, std::optional<double>& error);

}  // namespace m3d::bench
