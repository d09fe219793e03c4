// bench_kernels: all benchmarks of the operators in Google Benchmark's own program, with its options
// (--benchmark_filter=causal_conv1d …). m3d-bench kernels runs the same ones, compares and archives.
#include <benchmark/benchmark.h>

#include <cstdio>

#include "kernels/allocator_policy.h"
#include "kernels/benchmark/clock.h"
#include "kernels/benchmark/measure.h"

namespace {

using namespace m3d::bench;

bool any_failed = false;

/// The problem of the benchmark that runs now: Google Benchmark calls its function several times.
struct Current {
  std::string name, failure;
  Problem problem;
};

const Current& make_current(const Benchmark& wanted) {
  static Current current;
  if (current.name == wanted.name) return current;
  current = {wanted.name, "", {}};
  try {
    current.problem = wanted.prepare(at::kCPU);
    std::optional<double> error;
    current.failure = wrong_result(current.problem, error);
  } catch (const std::exception& thrown) {
    current.failure = thrown.what();
  }
  return current;
}

void run(benchmark::State& state, const Benchmark& wanted, Limits& limits) {
  const Current& current = make_current(wanted);
  if (!current.failure.empty()) {
    any_failed = true;
    state.SkipWithError(current.failure.c_str());
    return;
  }
  const double begin = wall_seconds();
  for (auto _ : state) benchmark::DoNotOptimize(current.problem.call());
  const double seconds = (wall_seconds() - begin) / static_cast<double>(state.iterations());
  const Work& work = current.problem.work;
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["elements/s"] = {work.elements, rate};
  state.counters["bytes/s"] = {work.bytes, rate, benchmark::Counter::kIs1024};
  state.counters["limit_%"] = 100 * limits.floor_of(work).seconds / seconds;
}

}  // namespace

int main(int count, char** arguments) {
  m3d::keep_freed_memory();
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 2;
  Limits limits(at::kCPU);
  for (const Benchmark& wanted : all_benchmarks())
    benchmark::RegisterBenchmark(wanted.name.c_str(),
                                 [wanted, &limits](benchmark::State& state) { run(state, wanted, limits); })
        ->MeasureProcessCPUTime()
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return any_failed ? 1 : 0;
}
