#pragma once
// From the registered benchmarks to KernelResults.
#include <string>
#include <vector>

#include "kernels/benchmark/measure.h"
#include "suite/regression/kernel_results.h"

namespace m3d {

/// The benchmarks whose names `filter`, an ECMAScript regular expression, finds something in; all for "". Throws
/// UserError for a malformed one, and, with the nearest names, where it finds none.
std::vector<bench::Benchmark> select_benchmarks(const std::string& filter);

/// Measures them, with what they ran on. Throws Interrupted between two steps once the user has asked for it.
KernelResults run_kernels(const std::vector<bench::Benchmark>& benchmarks, const bench::MeasureOptions& options,
                          const bench::Progress& progress = {});

}  // namespace m3d
