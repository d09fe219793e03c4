#pragma once
// What a run of the kernel benchmarks measured, as a value and as a JSON file (schema 1): the border between runs,
// comparisons and the trend page.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d {

/// On what and with what it was measured.
struct KernelContext {
  std::string device;       // "cpu" or "cuda"
  std::string device_name;  // "Intel(R) Xeon(R) …", "NVIDIA H200"
  std::string cpu;          // the host's processor
  int threads = 0;
  std::string instruction_set;  // "avx512"
  std::string compiler, libtorch, cuda;
  std::string version, git_commit;
  std::string started, finished;  // UTC
  /// Measured: multiply-adds and exp2 a second (0: not known), and bytes a second by working set in bytes.
  double multiply_adds_per_second = 0, exponentials_per_second = 0;
  std::map<std::int64_t, double> bandwidth;

  /// What must be equal for times to be comparable: device, processor, threads and instruction set.
  std::string machine() const;
  /// Compiler, LibTorch and CUDA.
  std::string toolkit() const;
};

struct KernelResult {
  std::string name;
  double elements = 0, bytes = 0;
  double limit_milliseconds = 0;  // the least time that this machine allows
  std::string limit;              // what sets it: memory, arithmetic, exponential
  std::optional<double> largest_error;
  double tolerance = 0;
  std::string failure;                                 // empty: there are times
  std::vector<double> milliseconds, cpu_milliseconds;  // of a call, a value a repetition

  /// "causal_conv1d" of "causal_conv1d/forward/float32/…".
  std::string operator_name() const;
  double median_milliseconds() const;
  double percent_of_limit() const;
};

struct KernelResults {
  KernelContext context;
  std::vector<KernelResult> results;

  bool any_failed() const;
};

/// The derived values (medians, rates, percent) are written for people and other programs; reading ignores them.
Json to_json(const KernelResults& results);

/// Throws UserError that names file and key for anything that to_json would not have written.
KernelResults load_kernel_results(const std::filesystem::path& file);

}  // namespace m3d
