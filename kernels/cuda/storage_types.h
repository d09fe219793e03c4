#pragma once
// The types that tokens and voxels are stored in on CUDA, and what they are summed in.
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <type_traits>

namespace m3d::cuda {

/// States and sums of tokens of type T.
template <class T>
using Sums = std::conditional_t<std::is_same_v<T, double>, double, float>;

}  // namespace m3d::cuda

/// instantiate(T) for every storage type.
#define M3D_FOR_EACH_STORAGE(instantiate) \
  instantiate(float) instantiate(double) instantiate(c10::BFloat16) instantiate(c10::Half)
