#include "kernels/benchmark/clock.h"

#include <torch/torch.h>

#include <ctime>

namespace m3d::bench {
namespace {

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

double wall_seconds() { return seconds_of(CLOCK_MONOTONIC); }
double cpu_seconds() { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }
double thread_seconds() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

void wait_for(c10::Device device) {
  if (device.is_cuda()) torch::cuda::synchronize();
}

}  // namespace m3d::bench
