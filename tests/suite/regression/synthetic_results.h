#pragma once
// Results of benchmarks that were never run.
#include <random>

#include "suite/regression/kernel_results.h"

namespace m3d::test {

/// A context with every field set.
KernelContext some_context();

/// `count` times around `milliseconds`, log-normal with the given relative spread.
std::vector<double> noisy_times(double milliseconds, double spread, int count, std::mt19937& random);

KernelResult result_with(const std::string& name, const std::vector<double>& milliseconds);

KernelResults run_of(const std::vector<KernelResult>& results);

}  // namespace m3d::test
