#include "datasets/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>

namespace m3d {

namespace {

thread_local bool serial_loops = false;

}  // namespace

SerialLoops::SerialLoops() : before_(serial_loops) { serial_loops = true; }
SerialLoops::~SerialLoops() { serial_loops = before_; }

int parallel_threads() { return serial_loops || omp_in_parallel() != 0 ? 1 : std::max(1, omp_get_max_threads()); }

void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body, int most_threads) {
  const std::int64_t chunks = (count + grain - 1) / grain;
  const int available = most_threads > 0 ? std::min(most_threads, parallel_threads()) : parallel_threads();
  const int threads = static_cast<int>(std::min<std::int64_t>(available, chunks));
  if (threads <= 1) {
    if (count > 0) body(0, count);
    return;
  }
  std::exception_ptr failure;
  std::mutex failure_mutex;
  std::atomic<std::int64_t> next{0};
#pragma omp parallel num_threads(threads)
  for (std::int64_t chunk = next++; chunk < chunks; chunk = next++) try {
      body(chunk * grain, std::min(count, (chunk + 1) * grain));
    } catch (...) {
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
      next = chunks;
    }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace m3d
