#pragma once

namespace m3d {

/// Whether the environment sets how glibc allocates (MALLOC_…_ or GLIBC_TUNABLES): then the program leaves it alone.
bool user_has_allocator_policy();

/// Makes glibc keep freed memory for the next allocation instead of giving it back to the system, for the whole
/// process; call it once, first thing in main. By default every tensor above 32 MiB is mapped anew at each allocation,
/// and the page faults of its first use cost as much as a memory-bound operator itself. Freed memory returns to the
/// system with malloc_trim(0). Does nothing where user_has_allocator_policy(), or with another C library.
void keep_freed_memory();

}  // namespace m3d
