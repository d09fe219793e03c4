#pragma once
// Arithmetic that the CUDA kernels share. Storage is what tensors hold; sums and states are in the accumulation type.
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cmath>
#include <cstdint>

#define M3D_DEVICE __device__ __forceinline__

namespace m3d::cuda {

inline constexpr int kWarp = 32;

template <class T>
struct AccumulationOf {
  using type = float;
};
template <>
struct AccumulationOf<double> {
  using type = double;
};
/// float for float, c10::BFloat16 and c10::Half; double for double.
template <class T>
using Accumulation = typename AccumulationOf<T>::type;

template <class T>
M3D_DEVICE Accumulation<T> load(const T* address) {
  return static_cast<Accumulation<T>>(*address);
}

/// A piece of memory that one instruction moves: 16 bytes at most, or one value.
template <class T, int count>
struct alignas(count * sizeof(T)) Packed {
  T values[count];
};

/// `count` values of the accumulation type from shared memory, in instructions of 16 bytes.
template <int count, class Value>
M3D_DEVICE void load_row(const Value* address, Value (&row)[count]) {
  constexpr int width = 16 / sizeof(Value);
  static_assert(count % width == 0, "rows are whole 16-byte pieces");
#pragma unroll
  for (int i = 0; i < count; i += width) {
    const auto piece = *reinterpret_cast<const Packed<Value, width>*>(address + i);
#pragma unroll
    for (int j = 0; j < width; ++j) row[i + j] = piece.values[j];
  }
}

inline constexpr double kLog2E = 1.4426950408889634;
inline constexpr double kLn2 = 0.6931471805599453;

/// 2^x to about two units in the last place; results below the smallest normal number are zero. The decays of a scan.
M3D_DEVICE float fast_exp2(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return std::exp2(x);
#endif
}
M3D_DEVICE double fast_exp2(double x) { return exp2(x); }

/// 2^x rounded to within one unit in the last place, also near 1, where fast_exp2 may be biased: a bias would add up
/// over the chunks of a long sequence.
M3D_DEVICE float precise_exp2(float x) {
  x = x < -200.0f ? -200.0f : x > 200.0f ? 200.0f : x;  // written so that NaN stays NaN
  const float whole = rintf(x), t = (x - whole) * static_cast<float>(kLn2);
  float series = 1.0f / 5040;
  series = fmaf(series, t, 1.0f / 720);
  series = fmaf(series, t, 1.0f / 120);
  series = fmaf(series, t, 1.0f / 24);
  series = fmaf(series, t, 1.0f / 6);
  series = fmaf(series, t, 0.5f);
  series = fmaf(series, t, 1.0f);
  return ldexpf(fmaf(series, t, 1.0f), static_cast<int>(whole));
}
M3D_DEVICE double precise_exp2(double x) { return exp2(x); }

/// 1 / x to about one unit in the last place.
M3D_DEVICE float reciprocal(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return 1.0f / x;
#endif
}
M3D_DEVICE double reciprocal(double x) { return 1.0 / x; }

template <class Value>
M3D_DEVICE Value sigmoid(Value x) {
  return reciprocal(Value(1) + fast_exp2(-x * Value(kLog2E)));
}

template <class Value>
M3D_DEVICE Value silu(Value x) {
  return x * sigmoid(x);
}

template <class Value>
M3D_DEVICE Value silu_derivative(Value x) {
  const Value s = sigmoid(x);
  return s * (Value(1) + x * (Value(1) - s));
}

/// log(1 + exp(x)), identity above 20. By log(1 + e) = 2 artanh(e / (2 + e)), whose series keeps small e exact.
M3D_DEVICE float softplus(float x) {
  if (x > 20.0f) return x;
  const float e = fast_exp2(-fabsf(x) * static_cast<float>(kLog2E));
  const float s = e * reciprocal(2.0f + e), s2 = s * s;
  float series = 1.0f / 13;
  series = fmaf(series, s2, 1.0f / 11);
  series = fmaf(series, s2, 1.0f / 9);
  series = fmaf(series, s2, 1.0f / 7);
  series = fmaf(series, s2, 1.0f / 5);
  series = fmaf(series, s2, 1.0f / 3);
  series = fmaf(series, s2, 1.0f);
  return fmaxf(x, 0.0f) + 2.0f * s * series;
}
M3D_DEVICE double softplus(double x) { return x > 20 ? x : log1p(exp(x)); }

/// The derivative of softplus.
template <class Value>
M3D_DEVICE Value softplus_derivative(Value x) {
  return x > Value(20) ? Value(1) : sigmoid(x);
}

template <class Value>
M3D_DEVICE Value from_lane_xor(Value value, int bits) {
  return __shfl_xor_sync(0xffffffffu, value, bits);
}

/// The block's dynamic shared memory.
template <class T>
M3D_DEVICE T* shared_memory() {
#ifdef M3D_CUDA_EMULATED
  return reinterpret_cast<T*>(m3d_emulated_shared_memory());
#else
  extern __shared__ __align__(16) unsigned char m3d_shared_memory[];
  return reinterpret_cast<T*>(m3d_shared_memory);
#endif
}

}  // namespace m3d::cuda
