#pragma once
// Loads and stores that convert between the type in memory and the type of the arithmetic. Included like vector.h.
#include "kernels/simd/storage.h"
#include "kernels/simd/vector.h"

namespace m3d::M3D_ISA {

typedef std::uint16_t Bits16 __attribute__((vector_size(kLanes<float> * 2)));
typedef std::uint32_t Bits32 __attribute__((vector_size(kVectorBytes)));

M3D_INLINE Vector<float> widened(Bits32 bits, Bfloat16) { return (Vector<float>)(bits << 16); }

/// The exponent is moved by a product, which makes subnormal numbers normal.
M3D_INLINE Vector<float> widened(Bits32 bits, Float16) {
  const Bits32 magnitude = (bits & 0x7FFF) << 13, sign = (bits & 0x8000) << 16;
  const Bits32 finite = (Bits32)((Vector<float>)magnitude * 0x1p112f);
  return (Vector<float>)(sign | ((bits & 0x7C00) == 0x7C00 ? magnitude | 0x7F800000 : finite));
}

/// To the nearest, ties to even; NaN stays NaN.
M3D_INLINE Bits32 narrowed(Vector<float> v, Bfloat16) {
  const Bits32 bits = (Bits32)v;
  return v != v ? bits >> 16 | 0x40 : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}
M3D_INLINE Bits32 narrowed(Vector<float> v, Float16) {
  const Bits32 sign = (Bits32)v & 0x80000000, bits = (Bits32)v ^ sign;
  // Below 2^-14 the sum with 1/2 rounds to multiples of 2^-24; a normal number is rounded by its carry.
  const Bits32 subnormal = (Bits32)((Vector<float>)bits + 0.5f) - 0x3F000000;
  const Bits32 normal = (bits - 0x38000000 + 0xFFF + (bits >> 13 & 1)) >> 13;
  const Bits32 finite = bits < 0x38800000 ? subnormal : normal;
  const Bits32 infinite = bits > 0x7F800000 ? Bits32{} + 0x7E00 : Bits32{} + 0x7C00;
  return sign >> 16 | (bits >= 0x47800000 ? infinite : finite);
}

template <class Stored>
inline constexpr bool kIs16Bit = sizeof(Stored) == 2;

/// The first `count` lanes from memory, zeros above.
template <class T, class Stored>
M3D_INLINE Vector<T> load_as(const Stored* from, int count) {
  if constexpr (kIs16Bit<Stored>) {
    Bits16 bits{};
    if (count == kLanes<T>)
      __builtin_memcpy(&bits, from, sizeof bits);
    else
      for (int lane = 0; lane < count; ++lane) bits[lane] = from[lane].bits;
    return widened(__builtin_convertvector(bits, Bits32), Stored{});
  } else {
    return load_lanes(from, count);
  }
}

template <class T, class Stored>
M3D_INLINE void store_as(Stored* to, Vector<T> v, int count) {
  if constexpr (kIs16Bit<Stored>) {
    const Bits16 bits = __builtin_convertvector(narrowed(v, Stored{}), Bits16);
    if (count == kLanes<T>)
      __builtin_memcpy(to, &bits, sizeof bits);
    else
      for (int lane = 0; lane < count; ++lane) to[lane].bits = bits[lane];
  } else {
    store_lanes(to, v, count);
  }
}

}  // namespace m3d::M3D_ISA
