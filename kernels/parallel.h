#pragma once
// Division of work among threads. A piece is computed in the same way wherever it runs, so that results do not depend
// on the number of threads.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

namespace m3d {

/// run(begin, end) for ranges that cover [0, pieces), on as many threads as are worth waking. work: multiply-adds of
/// one piece, roughly.
template <class Run>
void for_each_piece(std::int64_t pieces, std::int64_t work, const Run& run) {
  constexpr std::int64_t worth_a_thread = 1 << 17;  // some tens of microseconds
  at::parallel_for(0, pieces, std::max<std::int64_t>(1, worth_a_thread / std::max<std::int64_t>(1, work)), run);
}

}  // namespace m3d
