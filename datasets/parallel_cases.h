#pragma once
// The same work for every case of a dataset, on a few threads.
#include <cstddef>
#include <functional>
#include <string>

namespace m3d {

/// Calls `work(i)` once for each i below `count`, on up to `threads` threads, and shows progress under `what`. After a
/// failure nothing new begins, and the failure of the lowest i is thrown; throws Interrupted after a signal.
void for_each_case(std::size_t count, int threads, const std::string& what,
                   const std::function<void(std::size_t)>& work);

/// As many threads as the machine has processors, at least two (reading waits for the disk).
int default_case_threads();

}  // namespace m3d
