#pragma once
// Loops that the compiler turns into vector code, in copies of which the processor's is taken when the program starts
// (sanitizers run too late for such a choice). No copy may contract to fused multiply-add, so that all give the same
// bits: sources that use this are compiled with the options that CMakeLists.txt sets for them.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define M3D_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define M3D_VECTOR_CLONES
#endif
