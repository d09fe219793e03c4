#include "suite/regression/run_kernels.h"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <regex>

#include "common/error.h"
#include "common/interrupt.h"
#include "common/nearest_name.h"
#include "common/utc_now.h"
#include "common/version.h"
#include "kernels/device_facts.h"
#include "kernels/simd/instruction_set.h"

namespace m3d {
namespace {

std::regex parse_filter(const std::string& filter) {
  try {
    return std::regex(filter, std::regex::ECMAScript);
  } catch (const std::regex_error& error) {
    throw UserError("--filter " + filter + " is not a regular expression: " + error.what());
  }
}

[[noreturn]] void throw_no_match(const std::string& filter, const std::vector<bench::Benchmark>& benchmarks) {
  std::vector<std::string> names, operators;
  for (const auto& benchmark : benchmarks) {
    names.push_back(benchmark.name);
    const std::string operator_name = benchmark.name.substr(0, benchmark.name.find('/'));
    if (operators.empty() || operators.back() != operator_name) operators.push_back(operator_name);
  }
  const std::string near = nearest_name(filter, names);
  throw UserError("--filter " + filter + " matches no benchmark; " +
                  (near.empty() ? unknown_name_message("operator", filter.substr(0, filter.find('/')), operators)
                                : "did you mean " + near + "?") +
                  "; --list shows them all");
}

std::string instruction_set_name() {
  switch (instruction_set()) {
    case InstructionSet::avx512:
      return "avx512";
    case InstructionSet::avx2:
      return "avx2";
    case InstructionSet::portable:
      return "portable";
  }
  return "portable";
}

KernelContext context_of(at::Device device) {
  KernelContext context;
  context.device = device.is_cuda() ? "cuda" : "cpu";
  context.device_name = device_name(device);
  context.cpu = cpu_name();
  context.threads = at::get_num_threads();
  context.instruction_set = instruction_set_name();
  context.compiler = compiler_name();
  context.libtorch = TORCH_VERSION;
  context.cuda = cuda_version();
  context.version = program_version();
  context.git_commit = git_commit();
  context.started = utc_now();
  return context;
}

std::vector<double> milliseconds(const std::vector<double>& seconds) {
  std::vector<double> times;
  for (const double time : seconds) times.push_back(1e3 * time);
  return times;
}

KernelResult result_of(const bench::Measurement& measurement) {
  KernelResult result;
  result.name = measurement.name;
  result.elements = measurement.work.elements;
  result.bytes = measurement.work.bytes;
  result.limit_milliseconds = 1e3 * measurement.floor.seconds;
  result.limit = measurement.floor.kind;
  result.largest_error = measurement.error;
  result.tolerance = measurement.tolerance;
  result.failure = measurement.failure;
  result.milliseconds = milliseconds(measurement.wall);
  result.cpu_milliseconds = milliseconds(measurement.cpu);
  return result;
}

}  // namespace

std::vector<bench::Benchmark> select_benchmarks(const std::string& filter) {
  const std::vector<bench::Benchmark> all = bench::all_benchmarks();
  const std::regex wanted = parse_filter(filter);
  std::vector<bench::Benchmark> selected;
  std::copy_if(all.begin(), all.end(), std::back_inserter(selected),
               [&](const auto& benchmark) { return std::regex_search(benchmark.name, wanted); });
  if (selected.empty()) throw_no_match(filter, all);
  return selected;
}

KernelResults run_kernels(const std::vector<bench::Benchmark>& benchmarks, const bench::MeasureOptions& options,
                          const bench::Progress& progress) {
  KernelResults results{context_of(options.device), {}};
  bench::Limits limits(options.device);
  constexpr double largest_working_set = 256 << 20;
  limits.bandwidth(largest_working_set);  // in every context, so that machines' states can be told apart
  const auto watch = [&](const std::string& what, long step, long steps) {
    if (interrupt_requested()) throw Interrupted();
    if (progress) progress(what, step, steps);
  };
  for (const auto& measurement : bench::measure(benchmarks, options, limits, watch))
    results.results.push_back(result_of(measurement));
  results.context.multiply_adds_per_second = limits.operations_per_second();
  results.context.exponentials_per_second = limits.exponentials_per_second();
  results.context.bandwidth = limits.bandwidths();
  results.context.finished = utc_now();
  return results;
}

}  // namespace m3d
