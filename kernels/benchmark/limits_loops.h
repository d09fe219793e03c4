#pragma once
// What limits.cpp and the loops that measure the machine say to each other.
#include <cstdint>

namespace m3d::bench::limits_loops {

/// The loops of one instruction set. T is float.
template <class T>
struct Loops {
  /// a[i] = b[i] + factor c[i]. The second form writes past the caches; a must then lie on a 64-byte boundary, and
  /// count must be a multiple of 16.
  void (*triad)(T* a, const T* b, const T* c, T factor, std::int64_t count);
  void (*triad_streaming)(T* a, const T* b, const T* c, T factor, std::int64_t count);
  /// Multiply-adds in registers alone, at least `count`; returns how many. `sink` receives a value that depends on all.
  std::int64_t (*multiply_add)(T* sink, std::int64_t count);
  /// Likewise exp2 as the operators compute it.
  std::int64_t (*exp2)(T* sink, std::int64_t count);
};

// One table for each copy of limits_loops.cpp.
namespace portable {
template <class T>
Loops<T> table();
}
namespace avx2 {
template <class T>
Loops<T> table();
}
namespace avx512 {
template <class T>
Loops<T> table();
}

}  // namespace m3d::bench::limits_loops
