// The loops that find the machine's limits: as simple as can be, so that nothing but the hardware holds them up.
#include "kernels/benchmark/limits_loops.h"

#include "kernels/simd/vector.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace m3d::bench::limits_loops::M3D_ISA {

using namespace m3d::M3D_ISA;

namespace {

/// Enough independent chains to fill two units with a latency of four cycles; few enough for 16 registers.
constexpr int kChains = 10;
/// Two groups of independent chains: while one waits for its own results, the other computes.
constexpr int kGroup = 8, kGroups = 2;

template <class T>
M3D_INLINE void store_streaming(T* to, Vector<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, (__m512)v);
#elif defined(__AVX2__)
  _mm256_stream_ps(to, (__m256)v);
#elif defined(__SSE2__)
  _mm_stream_ps(to, (__m128)v);
#else
  store(to, v);
#endif
}

template <class T>
void triad(T* a, const T* b, const T* c, T factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes<T>) store<T>(a + i, load(b + i) + factor * load(c + i));
}

template <class T>
void triad_streaming(T* a, const T* b, const T* c, T factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes<T>) store_streaming<T>(a + i, load(b + i) + factor * load(c + i));
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

template <class T>
std::int64_t multiply_add(T* sink, std::int64_t count) {
  Vector<T> chain[kChains];
  for (int k = 0; k < kChains; ++k) chain[k] = broadcast<T>(sink[0] + T(k));
  const Vector<T> factor = broadcast<T>(T(0.5)), addend = broadcast<T>(sink[0]);
  std::int64_t done = 0;
  for (; done < count; done += std::int64_t{kChains} * kLanes<T>) {
#pragma GCC unroll 16
    for (int k = 0; k < kChains; ++k) chain[k] = chain[k] * factor + addend;
  }
  Vector<T> sum{};
  for (int k = 0; k < kChains; ++k) sum += chain[k];
  store(sink, sum);
  return done;
}

template <class T>
std::int64_t exp2_chains(T* sink, std::int64_t count) {
  Vector<T> x[kGroups * kGroup];
  for (int k = 0; k < kGroups * kGroup; ++k) x[k] = broadcast<T>(sink[0] - T(k));
  std::int64_t done = 0;
  for (; done < count; done += std::int64_t{kGroups} * kGroup * kLanes<T>)
    for (int group = 0; group < kGroups; ++group) exp2_all<T, kGroup>(x + group * kGroup);
  Vector<T> sum{};
  for (int k = 0; k < kGroups * kGroup; ++k) sum += x[k];
  store(sink, sum);
  return done;
}

}  // namespace

template <class T>
Loops<T> table() {
  return {triad<T>, triad_streaming<T>, multiply_add<T>, exp2_chains<T>};
}
template Loops<float> table<float>();

}  // namespace m3d::bench::limits_loops::M3D_ISA
