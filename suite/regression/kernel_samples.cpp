// kernel_samples FILE FILTER REPETITIONS THREADS checked|unchecked [DEVICE]: the part of m3d-bench kernels that
// scripts/kernel-regression runs of each commit, without the rest of the suite, which takes much longer to build.
// kernel_samples FILE FILTER counted: calls each benchmark once on one thread, for scripts/kernel-counts.
#include <ATen/Parallel.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "common/atomic_file.h"
#include "common/error.h"
#include "kernels/allocator_policy.h"
#include "suite/regression/run_kernels.h"

/// What an instruction counter watches: it counts from entry to return. Not inlined, and of a name that stays.
extern "C" [[gnu::noinline]] void m3d_counted_call(const m3d::bench::Problem& problem) { problem.call(); }

namespace {

int run_counted(char** arguments) {
  at::set_num_threads(1);
  m3d::Json names = m3d::Json::array();
  for (const m3d::bench::Benchmark& benchmark : m3d::select_benchmarks(arguments[2])) {
    const m3d::bench::Problem problem = benchmark.prepare(at::kCPU);
    problem.call();  // what only a first call does is not counted
    m3d_counted_call(problem);
    names.push_back(benchmark.name);
  }
  m3d::write_atomically(arguments[1], names.dump(1) + "\n");
  return 0;
}

int run(int count, char** arguments) {
  m3d::bench::MeasureOptions options;
  options.repetitions = std::stoi(arguments[3]);
  options.check = std::string(arguments[5]) == "checked";
  if (count > 6) options.device = at::Device(arguments[6]);
  at::set_num_threads(std::stoi(arguments[4]));
  const auto results = m3d::run_kernels(m3d::select_benchmarks(arguments[2]), options);
  m3d::write_atomically(arguments[1], m3d::to_json(results).dump(1) + "\n");
  for (const auto& result : results.results)
    if (!result.failure.empty()) std::fprintf(stderr, "%s: %s\n", result.name.c_str(), result.failure.c_str());
  return results.any_failed() ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
  m3d::keep_freed_memory();
  const bool counted = count == 4 && std::string_view(arguments[3]) == "counted";
  if (!counted && count != 6 && count != 7) {
    std::fprintf(stderr,
                 "usage: kernel_samples FILE FILTER REPETITIONS THREADS checked|unchecked [DEVICE]\n"
                 "       kernel_samples FILE FILTER counted\n");
    return 2;
  }
  try {
    if (counted) return run_counted(arguments);
    return run(count, arguments);
  } catch (const m3d::UserError& error) {
    std::fprintf(stderr, "kernel_samples: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kernel_samples: %s\n", error.what());
    return 1;
  }
}
