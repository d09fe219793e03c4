#include "kernels/allocator_policy.h"

#include <climits>
#include <cstdlib>
#include <initializer_list>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace m3d {

bool user_has_allocator_policy() {
  for (const char* name :
       {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"})
    if (std::getenv(name) != nullptr) return true;
  return false;
}

void keep_freed_memory() {
#if defined(__GLIBC__)
  if (user_has_allocator_policy()) return;
  // As large as mallopt's int allows: what is larger still is mapped, and returns as soon as it is freed.
  mallopt(M_MMAP_THRESHOLD, INT_MAX);
  mallopt(M_TRIM_THRESHOLD, -1);  // never by itself: a training step frees gigabytes that the next one needs
  mallopt(M_ARENA_MAX, 1);        // arenas of other threads hold 64 MiB at most: they would map each batch anew
  mallopt(M_TOP_PAD, 256 << 20);  // the heap grows in large steps; pages that are not used are not resident
#endif
}

}  // namespace m3d
