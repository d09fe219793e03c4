#pragma once
// Time, as benchmarks see it.
#include <c10/core/Device.h>

namespace m3d::bench {

/// Seconds from an arbitrary beginning.
double wall_seconds();
/// Processor seconds of all threads of this process; threads that wait by spinning count too.
double cpu_seconds();
/// Processor seconds of the calling thread.
double thread_seconds();

/// Returns when a CUDA device has done all that it was given; at once on the CPU.
void wait_for(c10::Device device);

}  // namespace m3d::bench
