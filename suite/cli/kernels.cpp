// m3d-bench kernels: benchmarks of the operators, and whether they became slower.
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cstdio>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/log.h"
#include "suite/cli/command.h"
#include "suite/cli/output.h"
#include "suite/profile/trace.h"
#include "suite/regression/comparison.h"
#include "suite/regression/run_kernels.h"
#include "suite/train/device.h"

namespace m3d {
namespace {

struct KernelsOptions {
  std::string filter, device = "cpu", clock = "wall", output, trace;
  std::vector<std::string> baseline, head;
  int repetitions = 15, threads = 0;
  double factor = ComparisonOptions{}.factor;
  bool list = false, json = false;
};

std::vector<KernelResults> load_all(const std::vector<std::string>& files) {
  std::vector<KernelResults> runs;
  for (const std::string& file : files) runs.push_back(load_kernel_results(file));
  return runs;
}

int list_benchmarks(const KernelsOptions& options) {
  Json names = Json::array();
  for (const auto& benchmark : select_benchmarks(options.filter)) names.push_back(benchmark.name);
  if (options.json) return print_json(names);
  for (const auto& name : names) std::printf("%s\n", name.get<std::string>().c_str());
  return 0;
}

KernelResults run_selected(const KernelsOptions& options) {
  require_device_and_precision(options.device, "fp32");
  const auto benchmarks = select_benchmarks(options.filter);
  if (!options.output.empty()) require_writable(std::filesystem::absolute(options.output).parent_path(), "--out");
  if (options.threads > 0) at::set_num_threads(options.threads);
  bench::MeasureOptions measuring;
  measuring.repetitions = options.repetitions;
  measuring.device = torch_device(options.device);
  return run_kernels(benchmarks, measuring, progress);
}

void print_context(const KernelContext& context) {
  std::string bandwidths;
  for (const auto& [bytes, rate] : context.bandwidth)
    bandwidths += fmt::format("{}{:.0f} GB/s at {:g} MiB", bandwidths.empty() ? "" : ", ", 1e-9 * rate,
                              static_cast<double>(bytes) / (1 << 20));
  std::printf("%s; %s; commit %s\nlimits: triad %s; %.0f G multiply-adds/s; %.1f G exp2/s\n\n",
              context.machine().c_str(), context.toolkit().c_str(), context.git_commit.c_str(), bandwidths.c_str(),
              1e-9 * context.multiply_adds_per_second, 1e-9 * context.exponentials_per_second);
}

void print_results(const KernelResults& results) {
  print_context(results.context);
  std::vector<std::vector<std::string>> rows = {{"benchmark", "ms", "Melements/s", "GB/s", "% of limit", "error"}};
  for (const KernelResult& result : results.results) {
    if (!result.failure.empty()) {
      rows.push_back({result.name, "FAIL: " + result.failure});
      continue;
    }
    const double milliseconds = result.median_milliseconds();
    rows.push_back({result.name, fmt::format("{:.3f}", milliseconds),
                    fmt::format("{:.0f}", 1e-3 * result.elements / milliseconds),
                    fmt::format("{:.1f}", 1e-6 * result.bytes / milliseconds),
                    fmt::format("{:.0f} {}", result.percent_of_limit(), result.limit),
                    result.largest_error ? fmt::format("{:.1e}", *result.largest_error) : "not checked"});
  }
  print_table(rows);
}

void print_report(const SpeedReport& report) {
  std::vector<std::vector<std::string>> rows = {
      {"benchmark", "before ms", "after ms", "ratio", "95 % interval", "p", "verdict"}};
  for (const SpeedComparison& c : report.comparisons) {
    const bool tested = c.ratio > 0;
    rows.push_back({c.name, c.before > 0 ? fmt::format("{:.3f}", c.before) : "-",
                    c.after > 0 ? fmt::format("{:.3f}", c.after) : "-", tested ? fmt::format("{:.3f}", c.ratio) : "-",
                    tested ? fmt::format("{:.3f}-{:.3f}", c.low, c.high) : "-",
                    tested ? fmt::format("{:.2g}", c.p) : "-",
                    to_string(c.verdict) + (c.reason.empty() ? "" : ": " + c.reason)});
  }
  print_table(rows);
  for (const std::string& remark : report.remarks) std::printf("note: %s\n", remark.c_str());
}

int run_kernels_command(const KernelsOptions& options) {
  if (options.list) return list_benchmarks(options);
  if (!options.head.empty() && options.baseline.empty())
    throw UserError("--head compares earlier results with those of --baseline, which is missing");
  // Read first: a damaged file costs no measurement.
  const std::vector<KernelResults> baseline = load_all(options.baseline);
  std::vector<KernelResults> head = load_all(options.head);
  const bool measured = head.empty();
  if (measured) head = {run_selected(options)};
  Json document = measured ? to_json(head.front()) : Json::object();
  if (measured && !options.output.empty()) write_atomically(options.output, document.dump(1) + "\n");
  if (measured && !options.json) print_results(head.front());
  bool failed = measured && head.front().any_failed();
  if (!baseline.empty()) {
    ComparisonOptions comparing;
    comparing.factor = options.factor;
    comparing.cpu_time = options.clock == "cpu";
    const SpeedReport report = compare_speed(baseline, head, comparing);
    failed = failed || report.any_slower();
    document["comparison"] = to_json(report);
    if (!options.json) print_report(report);
  }
  if (options.json) print_json(document);
  return failed ? 1 : 0;
}

void add_options(CLI::App& kernels, KernelsOptions& options) {
  kernels
      .add_option("--filter", options.filter, "only benchmarks in whose name this regular expression finds something")
      ->type_name("RE");
  kernels.add_flag("--list", options.list, "names only, nothing run");
  kernels.add_option("--repetitions", options.repetitions, "samples of each (default 15; a verdict needs 9)")
      ->check(CLI::PositiveNumber);
  kernels.add_option("--threads", options.threads, "default: all cores")->check(CLI::PositiveNumber);
  kernels.add_option("--device", options.device, "cpu (default) or cuda")->check(one_of("--device", {"cpu", "cuda"}));
  kernels
      .add_option("--baseline", options.baseline,
                  "compare with earlier results of --out; with several, each is one sample")
      ->type_name("FILE");
  kernels.add_option("--head", options.head, "compare these earlier results with the baseline; nothing run")
      ->type_name("FILE");
  kernels.add_option("--factor", options.factor, "how much slower or faster counts (default 1.05)")
      ->check(CLI::Range(1.001, 100.0));
  kernels
      .add_option("--clock", options.clock, "compare wall (default) or cpu time: with --threads 1, on busy machines")
      ->check(one_of("--clock", {"wall", "cpu"}));
  kernels.add_option("--out", options.output, "write the results as JSON")->type_name("FILE");
  kernels.add_option("--trace", options.trace, "write a trace of the operators called (Kineto, Chrome's JSON)")
      ->type_name("FILE");
  kernels.add_flag("--json", options.json, "one JSON document on stdout");
}

}  // namespace

void add_kernels(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<KernelsOptions>();
  CLI::App* kernels = app.add_subcommand(
      "kernels",
      "Benchmark the operators: each result is checked against its reference version, then timed in interleaved "
      "repetitions and set against what this machine can do at most, measured in the same run. With --baseline, "
      "verdicts: "
      "same, faster, slower, ambiguous, unknown; exit 1 for wrong results and proven slowdowns only.");
  kernels->footer(
      "Examples:\n"
      "  m3d-bench kernels --filter depthwise_conv3d/forward/ --out before.json\n"
      "  m3d-bench kernels --filter depthwise_conv3d/forward/ --baseline before.json\n"
      "  m3d-bench report kernels/baselines   (their trend)");
  add_options(*kernels, *options);
  kernels->callback([options, &chosen] {
    chosen = [options] { return run_traced(options->trace, [&] { return run_kernels_command(*options); }); };
  });
}

}  // namespace m3d
