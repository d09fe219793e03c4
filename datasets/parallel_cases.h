#pragma once
// The same work for every case of a dataset: a parallel_for (parallel.h) that shows its progress, can be interrupted
// and fails alike whatever the number of threads.
#include <cstddef>
#include <functional>
#include <string>

namespace m3d {

/// Calls `work(i)` once for each i below `count`, on up to `threads` of parallel_for's threads, and shows progress
/// under `what`; loops within `work` stay on its thread. After a failure nothing new begins, and the failure of the
/// lowest i is thrown; throws Interrupted after a signal.
void for_each_case(std::size_t count, int threads, const std::string& what,
                   const std::function<void(std::size_t)>& work);

/// As many threads as parallel_for has.
int default_case_threads();

}  // namespace m3d
