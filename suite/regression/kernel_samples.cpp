// kernel_samples FILE FILTER REPETITIONS THREADS checked|unchecked [DEVICE]: the part of m3d-bench kernels that
// scripts/kernel-regression runs of each commit, without the rest of the suite, which takes much longer to build.
#include <ATen/Parallel.h>

#include <cstdio>
#include <string>

#include "common/atomic_file.h"
#include "common/error.h"
#include "kernels/allocator_policy.h"
#include "suite/regression/run_kernels.h"

namespace {

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
  if (count != 6 && count != 7) {
    std::fprintf(stderr, "usage: kernel_samples FILE FILTER REPETITIONS THREADS checked|unchecked [DEVICE]\n");
    return 2;
  }
  try {
    return run(count, arguments);
  } catch (const m3d::UserError& error) {
    std::fprintf(stderr, "kernel_samples: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kernel_samples: %s\n", error.what());
    return 1;
  }
}
