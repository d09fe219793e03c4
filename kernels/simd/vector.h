#pragma once
// Vectors of one register and the functions of them that the operators need. Included only by the files that are
// compiled once for each instruction set: M3D_ISA (portable, avx2, avx512) names the namespace of this copy, so that
// the copies never meet. For the same reason nothing here may call an inline function of the standard library: the
// linker would keep one copy, perhaps the one that this processor cannot run.
#include <cstdint>
#include <utility>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#ifndef M3D_ISA
#error "M3D_ISA must name the instruction set (kernels/CMakeLists.txt does)"
#endif

namespace m3d::M3D_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class T>
struct VectorTypes;
template <>
struct VectorTypes<float> {
  typedef float Real __attribute__((vector_size(kVectorBytes)));
  typedef std::int32_t Integer __attribute__((vector_size(kVectorBytes)));
  static constexpr int mantissa_bits = 23;
  static constexpr float round_to_integer = 12582912.0f;  // 1.5 * 2^23: adding it leaves the integer in the low bits
  static constexpr float largest_exponent = 127.0f;
};
template <>
struct VectorTypes<double> {
  typedef double Real __attribute__((vector_size(kVectorBytes)));
  typedef std::int64_t Integer __attribute__((vector_size(kVectorBytes)));
  static constexpr int mantissa_bits = 52;
  static constexpr double round_to_integer = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double largest_exponent = 1023.0;
};

template <class T>
using Vector = typename VectorTypes<T>::Real;
template <class T>
using IntegerVector = typename VectorTypes<T>::Integer;
template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

#define M3D_INLINE [[gnu::always_inline]] inline

template <class T>
M3D_INLINE Vector<T> load(const T* from) {
  Vector<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class T>
M3D_INLINE void store(T* to, Vector<T> v) {
  __builtin_memcpy(to, &v, sizeof v);
}
/// The first `count` lanes, zeros above.
template <class T>
M3D_INLINE Vector<T> load_lanes(const T* from, int count) {
  if (count == kLanes<T>) return load(from);
  Vector<T> v{};
  for (int lane = 0; lane < count; ++lane) v[lane] = from[lane];
  return v;
}
template <class T>
M3D_INLINE void store_lanes(T* to, Vector<T> v, int count) {
  if (count == kLanes<T>) return store(to, v);
  for (int lane = 0; lane < count; ++lane) to[lane] = v[lane];
}
/// The same value, held in a register: the compiler would else load it again for each of its uses, and loads are what
/// the loops with many uses wait for.
template <class T>
M3D_INLINE Vector<T> in_register(Vector<T> v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#endif
  return v;
}
/// Asks for the cache line at `address`, to be read or written soon; any address may be given.
template <bool write, class T>
M3D_INLINE void prefetch(const T* address) {
  __builtin_prefetch(address, write ? 1 : 0, 2);
}
template <class T>
M3D_INLINE Vector<T> broadcast(T value) {
  return value - Vector<T>{};
}

/// Coefficients of (2^f - 1) / f on [-1/2, 1/2], lowest power first. 2^0 is exact, so that a decay very close to one
/// is not biased: a state that lives ten thousand steps would show a bias of 1e-7 as 1e-3.
template <class T>
struct Exp2Polynomial;
template <>
struct Exp2Polynomial<float> {  // weighted minimax of degree 4, relative error of 2^f 1.0e-7 before rounding
  static constexpr int terms = 5;
  static constexpr float coefficient[terms] = {0.69314697741f, 0.240222417117f, 0.0555073381933f, 0.00967153786291f,
                                               0.00132647951373f};
};
template <>
struct Exp2Polynomial<double> {  // Taylor, ln(2)^(k+1) / (k+1)!; the remainder is 2e-17
  static constexpr int terms = 13;
  static constexpr double coefficient[terms] = {
      0.69314718055994530942,   0.24022650695910071233,   0.055504108664821579953,   0.0096181291076284771620,
      0.0013333558146428443423, 1.5403530393381609954e-4, 1.5252733804059840280e-5,  1.3215486790144309488e-6,
      1.0178086009239699728e-7, 7.0549116208011233299e-9, 4.4455382718708114976e-10, 2.5678435993488205142e-11,
      1.3691488853904128881e-12};
};

#if defined(__AVX512F__)
/// x = whole + x', |x'| <= 1/2; x becomes x'. The forms with a mask: those without warn falsely in GCC 12.
template <class T>
M3D_INLINE Vector<T> split_whole(Vector<T>& x) {
  constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  Vector<T> whole;
  if constexpr (sizeof(T) == 4)
    whole = (Vector<T>)_mm512_maskz_roundscale_ps(0xFFFF, (__m512)x, nearest);
  else
    whole = (Vector<T>)_mm512_maskz_roundscale_pd(0xFF, (__m512d)x, nearest);
  x -= whole;
  return whole;
}
/// p 2^whole, with underflow and overflow as they should be.
template <class T>
M3D_INLINE Vector<T> scale(Vector<T> p, Vector<T> whole) {
  if constexpr (sizeof(T) == 4)
    return (Vector<T>)_mm512_maskz_scalef_ps(0xFFFF, (__m512)p, (__m512)whole);
  else
    return (Vector<T>)_mm512_maskz_scalef_pd(0xFF, (__m512d)p, (__m512d)whole);
}
#else
/// x = whole + x', |x'| <= 1/2; x becomes x', and the result has `whole` in its low bits. x is clamped first to what
/// the exponent can hold, so underflow ends at 2^(1 - largest_exponent) and overflow at 2^largest_exponent; written so
/// that NaN stays NaN.
template <class T>
M3D_INLINE Vector<T> split_whole(Vector<T>& x) {
  using Types = VectorTypes<T>;
  const Vector<T> low = broadcast<T>(1 - Types::largest_exponent), high = broadcast<T>(Types::largest_exponent);
  x = x < low ? low : x;
  x = x > high ? high : x;
  const Vector<T> shifted = x + Types::round_to_integer;
  x -= shifted - Types::round_to_integer;
  return shifted;
}
template <class T>
M3D_INLINE Vector<T> scale(Vector<T> p, Vector<T> whole) {
  return (Vector<T>)((IntegerVector<T>)p + ((IntegerVector<T>)whole << VectorTypes<T>::mantissa_bits));
}
#endif

#if defined(__AVX512F__)
/// 2^(j/32): two registers, of which one instruction picks by the low five bits of every lane.
inline constexpr int kExp2Entries = 32;
alignas(64) inline constexpr float kExp2Table[kExp2Entries] = {
    1.0f,        1.0218972f,  1.04427373f, 1.06714046f, 1.09050775f, 1.1143868f,  1.13878858f, 1.1637249f,
    1.18920708f, 1.21524739f, 1.24185777f, 1.26905096f, 1.29683959f, 1.32523668f, 1.35425556f, 1.38390994f,
    1.41421354f, 1.44518077f, 1.47682619f, 1.50916445f, 1.54221082f, 1.5759809f,  1.61049032f, 1.64575553f,
    1.68179286f, 1.71861935f, 1.75625217f, 1.79470909f, 1.8340081f,  1.87416768f, 1.91520655f, 1.95714414f};
/// (2^r - 1) / r on [-1/64, 1/64], in two terms. The first is set so that the error of 2^r (at most 1.1e-7) is zero on
/// average over r on either side of zero: slow decays, whose exponents lie there, are not biased.
inline constexpr float kExp2Terms[2] = {0.693153956f, 0.240227682f};

/// As exp2_all. Of its eight operations three need the units that multiply, which are what the scans wait for.
template <int count>
M3D_INLINE void exp2_by_table_all(Vector<float>* x) {
  constexpr int to_entry = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC | 5 << 4;  // multiples of 2^-5
  constexpr float shift = VectorTypes<float>::round_to_integer / kExp2Entries;
  const Vector<float> low = load(kExp2Table), high = load(kExp2Table + kExp2Entries / 2);
  Vector<float> power[count], whole[count];
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) {
    x[k] = in_register<float>(x[k]);  // else a product that gives x is contracted into both sums, and multiplied twice
    whole[k] = (Vector<float>)_mm512_maskz_roundscale_ps(0xFFFF, (__m512)x[k], to_entry);
    power[k] = x[k] + shift;
    x[k] -= whole[k];
  }
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k)
    power[k] = (Vector<float>)_mm512_permutex2var_ps((__m512)low, (__m512i)power[k], (__m512)high);
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) x[k] *= kExp2Terms[1] * x[k] + kExp2Terms[0];
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) x[k] = scale<float>(power[k] * x[k] + power[k], whole[k]);
}
#endif

/// p = c[0] + c[1] x + ... of `count` vectors at once (Horner's rule).
template <class T, int terms, int count>
M3D_INLINE void polynomial_all(const T (&coefficient)[terms], const Vector<T>* x, Vector<T>* p) {
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) p[k] = broadcast<T>(coefficient[terms - 1]);
#pragma GCC unroll 16
  for (int term = terms - 2; term >= 0; --term)
#pragma GCC unroll 8
    for (int k = 0; k < count; ++k) p[k] = p[k] * x[k] + coefficient[term];
}

template <class T, int count>
M3D_INLINE void exp2_by_polynomial_all(Vector<T>* x) {
  Vector<T> p[count], whole[count];
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) whole[k] = split_whole<T>(x[k]);
  polynomial_all<T, Exp2Polynomial<T>::terms, count>(Exp2Polynomial<T>::coefficient, x, p);
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) x[k] = scale<T>(p[k] * x[k] + T(1), whole[k]);
}

/// 2^x of `count` vectors at once, in place: one after another, the long chain of each would leave the units idle.
template <class T, int count>
M3D_INLINE void exp2_all(Vector<T>* x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == sizeof(float)) return exp2_by_table_all<count>(x);
#endif
  exp2_by_polynomial_all<T, count>(x);
}

/// 1 - 2^x of `count` vectors at once, in place, for x <= 0: accurate relative to itself near zero too.
template <class T, int count>
M3D_INLINE void one_minus_exp2_all(Vector<T>* x) {
  Vector<T> p[count], power[count];
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) power[k] = scale<T>(broadcast<T>(1), split_whole<T>(x[k]));
  polynomial_all<T, Exp2Polynomial<T>::terms, count>(Exp2Polynomial<T>::coefficient, x, p);
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) x[k] = (T(1) - power[k]) - power[k] * (p[k] * x[k]);
}

template <class T>
M3D_INLINE Vector<T> exp2(Vector<T> x) {
  exp2_all<T, 1>(&x);
  return x;
}

inline constexpr double kLog2OfE = 1.4426950408889634074;
inline constexpr double kLogOf2 = 0.69314718055994530942;

template <class T>
M3D_INLINE Vector<T> exp(Vector<T> x) {
  return exp2<T>(x * T(kLog2OfE));
}

template <class T>
M3D_INLINE Vector<T> negative_absolute(Vector<T> x) {
  const auto sign = (IntegerVector<T>)broadcast<T>(T(-0.0));
  return (Vector<T>)((IntegerVector<T>)x | sign);
}

/// 1 / (1 + exp(-x)) of `count` vectors at once, in place, without overflow.
template <class T, int count>
M3D_INLINE void sigmoid_all(Vector<T>* x) {
  Vector<T> e[count];
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) e[k] = negative_absolute<T>(x[k]) * T(kLog2OfE);
  exp2_all<T, count>(e);
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) x[k] = (x[k] < T(0) ? e[k] : broadcast<T>(1)) / (T(1) + e[k]);
}

template <class T, int count>
M3D_INLINE void silu_all(Vector<T>* x) {
  Vector<T> s[count];
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) s[k] = x[k];
  sigmoid_all<T, count>(s);
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) x[k] *= s[k];
}
template <class T, int count>
M3D_INLINE void silu_derivative_all(Vector<T>* x) {
  Vector<T> s[count];
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) s[k] = x[k];
  sigmoid_all<T, count>(s);
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) x[k] = s[k] * (T(1) + x[k] * (T(1) - s[k]));
}

template <class T>
M3D_INLINE Vector<T> silu(Vector<T> x) {
  silu_all<T, 1>(&x);
  return x;
}
template <class T>
M3D_INLINE Vector<T> silu_derivative(Vector<T> x) {
  silu_derivative_all<T, 1>(&x);
  return x;
}

/// Coefficients of (log(1 + e) / e - 1) / e on [0, 1], lowest power first: minimax, relative error of the logarithm
/// 3.3e-8 before rounding.
inline constexpr int kLogTerms = 8;
inline constexpr float kLogCoefficient[kLogTerms] = {
    -0.49999648332595825f, 0.3332132399082184f,  -0.24857163429260254f,  0.19153651595115662f,
    -0.13753795623779297f, 0.07920445501804352f, -0.030065739527344704f, 0.005364810582250357f};

/// log(1 + e) of `count` vectors at once, in place; e in [0, 1].
template <int count>
M3D_INLINE void log1p_all(Vector<float>* e) {
  Vector<float> p[count];
  polynomial_all<float, kLogTerms, count>(kLogCoefficient, e, p);
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) e[k] *= p[k] * e[k] + 1.0f;
}

/// log(1 + e) = 2 atanh(e / (2 + e)): the argument is at most 1/3, so that each term brings 9 times the accuracy.
template <int count>
M3D_INLINE void log1p_all(Vector<double>* e) {
  constexpr int terms = 18;
  for (int k = 0; k < count; ++k) {
    const Vector<double> s = e[k] / (2.0 + e[k]), s2 = s * s;
    Vector<double> series = broadcast<double>(1.0 / (2 * terms - 1));
#pragma GCC unroll 32
    for (int term = terms - 2; term >= 0; --term) series = series * s2 + 1.0 / (2 * term + 1);
    e[k] = 2.0 * s * series;
  }
}

/// log(1 + exp(x)), and x itself above 20 as torch has it, of `count` vectors at once, in place.
template <class T, int count>
M3D_INLINE void softplus_all(Vector<T>* x) {
  Vector<T> e[count];
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) e[k] = negative_absolute<T>(x[k]) * T(kLog2OfE);
  exp2_all<T, count>(e);
  log1p_all<count>(e);
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) {
    const Vector<T> sum = (x[k] > T(0) ? x[k] : Vector<T>{}) + e[k];
    // In float32 the sum is x already.
    if constexpr (sizeof(T) == sizeof(double))
      x[k] = x[k] > T(20) ? x[k] : sum;
    else
      x[k] = sum;
  }
}

/// The source lane, in a and then b, of lane `lane` when neighbours are brought together: in each 128-bit block those
/// of its lanes, where a shuffle is cheap, or (whole_blocks) the blocks themselves.
template <class T>
constexpr int even_neighbour(int lane, bool whole_blocks) {
  constexpr int block = 16 / static_cast<int>(sizeof(T)), lanes = kLanes<T>;
  const int first = lane / block * block, inner = lane % block;
  if (whole_blocks) return 2 * first + inner;
  return inner < block / 2 ? first + 2 * inner : lanes + first + 2 * inner - block;
}

template <class T, bool whole_blocks, int... lane>
M3D_INLINE Vector<T> add_neighbours(Vector<T> a, Vector<T> b, std::integer_sequence<int, lane...>) {
  constexpr int step = whole_blocks ? 16 / static_cast<int>(sizeof(T)) : 1;
  return __builtin_shufflevector(a, b, even_neighbour<T>(lane, whole_blocks)...) +
         __builtin_shufflevector(a, b, (even_neighbour<T>(lane, whole_blocks) + step)...);
}

/// The sums of the lanes of `count` vectors (a power of two, at most the lanes), in the first `count` lanes of the
/// result. A tree, so that `count` vectors cost about as many additions as one sum; its order is fixed.
template <class T, int count, int parts = kLanes<T>>
M3D_INLINE Vector<T> sum_lanes(const Vector<T>* v) {
  using Lanes = std::make_integer_sequence<int, kLanes<T>>;
  if constexpr (parts == 1) {
    return v[0];
  } else {
    constexpr int left = count > 1 ? count / 2 : 1;
    constexpr bool whole_blocks = parts <= kVectorBytes / 16;
    Vector<T> pairs[left];
#pragma GCC unroll 16
    for (int k = 0; k < left; ++k)
      pairs[k] = add_neighbours<T, whole_blocks>(v[2 * k], v[count > 1 ? 2 * k + 1 : 0], Lanes{});
    return sum_lanes<T, left, parts / 2>(pairs);
  }
}

}  // namespace m3d::M3D_ISA
