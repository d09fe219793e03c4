#pragma once
#include "kernels/simd/instruction_set.h"

/// The value among the copies of a function `name<types>()` that instruction_set() asks for; for the sources that pick
/// loops at run time. Where only the portable copy is built (M3D_X86 undefined) it is the one.
#if defined(M3D_X86)
#define M3D_CHOOSE(name, ...)                                              \
  ([]() -> const auto& {                                                   \
    static const auto portable_copy = portable::name<__VA_ARGS__>();       \
    static const auto avx2_copy = avx2::name<__VA_ARGS__>();               \
    static const auto avx512_copy = avx512::name<__VA_ARGS__>();           \
    const ::m3d::InstructionSet set = ::m3d::instruction_set();            \
    if (set == ::m3d::InstructionSet::avx512) return avx512_copy;          \
    return set == ::m3d::InstructionSet::avx2 ? avx2_copy : portable_copy; \
  }())
#else
#define M3D_CHOOSE(name, ...)                                        \
  ([]() -> const auto& {                                             \
    static const auto portable_copy = portable::name<__VA_ARGS__>(); \
    return portable_copy;                                            \
  }())
#endif
