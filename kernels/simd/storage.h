#pragma once
// The 16-bit floating-point types as the inner loops know them: bits in memory. Arithmetic is done in float32
// (convert.h).
#include <cstdint>

namespace m3d {

struct Bfloat16 {
  std::uint16_t bits;
};

/// IEEE binary16.
struct Float16 {
  std::uint16_t bits;
};

}  // namespace m3d
