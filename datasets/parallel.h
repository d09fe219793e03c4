#pragma once
// Loops over the machine's cores. Internal to this room.
#include <cstdint>
#include <functional>

namespace m3d {

/// Calls body(begin, end) for disjoint ranges that cover 0 … count-1, on OpenMP's threads (OMP_NUM_THREADS). Ranges are
/// handed out in order, `grain` items at a time: what is computed must not depend on where a range starts. Within
/// another such loop the calling thread does all. The first exception is rethrown when all threads are done.
/// `most_threads` 0: no bound.
void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body, int most_threads = 0);

/// While it lives, parallel_for leaves all work to the thread that made it: for threads that are many already.
class SerialLoops {
 public:
  SerialLoops();
  ~SerialLoops();
  SerialLoops(const SerialLoops&) = delete;
  SerialLoops& operator=(const SerialLoops&) = delete;

 private:
  bool before_;
};

/// Threads that parallel_for would use here.
int parallel_threads();

}  // namespace m3d
