#pragma once
// Loops that the compiler turns into vector code, in two copies of which the processor's is taken when the program
// starts. No copy may contract to fused multiply-add, so that both give the same bits: sources that use this are
// compiled with the options that CMakeLists.txt sets for them.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define M3D_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define M3D_VECTOR_CLONES
#endif
