#pragma once
#include <cstddef>

namespace m3d {

/// Makes LibTorch take the memory of small CPU tensors (up to 1 MiB) from lists of freed blocks of the same size class,
/// for the whole process; call it once, first thing in main. A training step of a network of many small operators
/// allocates thousands of tensors, always of the same sizes, and the C library spends some microseconds on each to
/// split, merge and sort its free memory, on the one thread that everything waits for. Small tensors also no longer
/// break up the large pieces that the next step needs again whole.
///
/// What is kept is at most the peak of each size class; blocks are 64-byte aligned and at most an eighth larger than
/// asked for. LibTorch's memory profiler sees every tensor as before. Does nothing where the user has set a policy of
/// the C library's allocator (user_has_allocator_policy), or under the address sanitizer, which would not see use after
/// free.
void keep_freed_tensors();

/// Gives the memory of freed tensors and other freed memory back to the system.
void return_freed_memory();

}  // namespace m3d
