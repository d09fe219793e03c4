#include "kernels/benchmark/limits.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "kernels/benchmark/clock.h"
#include "kernels/benchmark/limits_loops.h"
#include "kernels/simd/choose.h"

namespace m3d::bench {
namespace {

using namespace limits_loops;

constexpr double kSmallestSet = 256 << 10, kLargestSet = 256 << 20;
constexpr double kSeconds = 0.04;          // of trying, for each limit
constexpr std::int64_t kMultiple = 16;     // floats in the widest register, a cache line
constexpr std::int64_t kCount = 20000000;  // operations of a try on one thread: some milliseconds at most

const Loops<float>& loops() { return M3D_CHOOSE(table, float); }

/// Calls `attempt` for kSeconds and at least three times.
template <class Attempt>
void repeat(const Attempt& attempt) {
  const double begin = wall_seconds();
  for (int tries = 0; tries < 3 || wall_seconds() - begin < kSeconds; ++tries) attempt();
}

/// The best rate of all threads together, each doing run(thread), which returns how much it did, at the same time.
/// Each is timed by its own processor time, so that other programs do not lower the limit.
template <class Run>
double best_rate(int threads, const Run& run) {
  double best = 0;
  repeat([&] {
    std::vector<double> rates(static_cast<std::size_t>(threads));
    at::parallel_for(0, threads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t thread = begin; thread < end; ++thread) {
        const double start = thread_seconds();
        const double done = run(thread);
        rates[static_cast<std::size_t>(thread)] = done / (thread_seconds() - start);
      }
    });
    best = std::max(best, std::accumulate(rates.begin(), rates.end(), 0.0));
  });
  return best;
}

/// Floats per second of a loop that stays in registers.
double register_rate(int threads, std::int64_t (*loop)(float*, std::int64_t)) {
  return best_rate(threads, [&](std::int64_t) {
    alignas(64) float sink[kMultiple] = {-0.5F};
    return static_cast<double>(loop(sink, kCount));
  });
}

/// Arrays of `count` floats on a 64-byte boundary, as torch's CPU allocator makes them.
struct Arrays {
  Arrays(std::int64_t count, at::Device device)
      : a(torch::ones({count}, device)), b(torch::ones({count}, device)), c(torch::ones({count}, device)) {}
  at::Tensor a, b, c;
};

double cpu_bandwidth(double bytes, int threads) {
  const std::int64_t count = std::max<std::int64_t>(
      kMultiple, static_cast<std::int64_t>(bytes) / 12 / threads / kMultiple * kMultiple);  // of one thread
  const Arrays arrays(count * threads, at::kCPU);
  float* a = arrays.a.data_ptr<float>();
  const float *b = arrays.b.data_ptr<float>(), *c = arrays.c.data_ptr<float>();
  const double moved = 12.0 * static_cast<double>(count);
  const int passes = static_cast<int>(std::max(1.0, 8e6 / moved));  // a try is not shorter than the clock can tell
  double best = 0;
  for (const auto triad : {loops().triad, loops().triad_streaming})
    best = std::max(best, best_rate(threads, [&](std::int64_t thread) {
                      for (int pass = 0; pass < passes; ++pass)
                        triad(a + thread * count, b + thread * count, c + thread * count, 0.5F, count);
                      return passes * moved;
                    }));
  return best;
}

double cuda_bandwidth(double bytes, at::Device device) {
  constexpr int passes = 20;
  Arrays arrays(static_cast<std::int64_t>(bytes) / 12, device);
  double best = 1e300;
  repeat([&] {
    const double begin = wall_seconds();
    for (int pass = 0; pass < passes; ++pass) at::add_out(arrays.a, arrays.b, arrays.c, 0.5);
    wait_for(device);
    best = std::min(best, wall_seconds() - begin);
  });
  return passes * static_cast<double>(arrays.a.nbytes() * 3) / best;
}

}  // namespace

Limits::Limits(at::Device device) : device_(device), threads_(at::get_num_threads()) {}

double Limits::bandwidth(double working_set) {
  const auto clamped = static_cast<std::uint64_t>(std::clamp(working_set, kSmallestSet, kLargestSet));
  const std::uint64_t step = std::bit_floor(clamped) / 4;
  const auto set = static_cast<std::int64_t>(clamped / step * step);
  const auto found = bandwidths_.find(set);
  if (found != bandwidths_.end()) return found->second;
  const at::NoGradGuard no_grad;
  const auto bytes = static_cast<double>(set);
  return bandwidths_[set] = device_.is_cuda() ? cuda_bandwidth(bytes, device_) : cpu_bandwidth(bytes, threads_);
}

double Limits::operations_per_second() {
  if (operations_ < 0) operations_ = device_.is_cuda() ? 0 : register_rate(threads_, loops().multiply_add);
  return operations_;
}

double Limits::exponentials_per_second() {
  if (exponentials_ < 0) exponentials_ = device_.is_cuda() ? 0 : register_rate(threads_, loops().exp2);
  return exponentials_;
}

Floor Limits::floor_of(const Work& work) {
  Floor floor{work.bytes / bandwidth(work.bytes), "memory"};
  const auto consider = [&](double amount, double rate, const char* kind) {
    if (amount > 0 && rate > 0 && amount / rate > floor.seconds) floor = {amount / rate, kind};
  };
  consider(work.operations, operations_per_second(), "arithmetic");
  consider(work.exponentials, exponentials_per_second(), "exponential");
  return floor;
}

}  // namespace m3d::bench
