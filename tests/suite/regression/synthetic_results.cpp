#include "tests/suite/regression/synthetic_results.h"

namespace m3d::test {

KernelContext some_context() {
  KernelContext context;
  context.device = "cpu";
  context.device_name = context.cpu = "Some CPU";
  context.threads = 2;
  context.instruction_set = "avx2";
  context.compiler = "GCC 12.2.0";
  context.libtorch = "2.11.0";
  context.version = "0.1.0";
  context.git_commit = "0123456789ab";
  context.started = "2026-01-31T12:00:00Z";
  context.finished = "2026-01-31T12:01:00Z";
  context.multiply_adds_per_second = 2e11;
  context.exponentials_per_second = 2e10;
  context.bandwidth = {{1 << 20, 2e11}, {256 << 20, 3e10}};
  return context;
}

std::vector<double> noisy_times(double milliseconds, double spread, int count, std::mt19937& random) {
  std::lognormal_distribution<double> noise(0.0, spread);
  std::vector<double> times;
  for (int i = 0; i < count; ++i) times.push_back(milliseconds * noise(random));
  return times;
}

KernelResult result_with(const std::string& name, const std::vector<double>& milliseconds) {
  KernelResult result;
  result.name = name;
  result.elements = 1e6;
  result.bytes = 8e6;
  result.limit_milliseconds = 0.5;
  result.limit = "memory";
  result.largest_error = 1e-7;
  result.tolerance = 2e-5;
  result.milliseconds = result.cpu_milliseconds = milliseconds;
  return result;
}

KernelResults run_of(const std::vector<KernelResult>& results) { return {some_context(), results}; }

}  // namespace m3d::test
