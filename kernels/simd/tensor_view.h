#pragma once
// Tensors as the inner loops see them.
#include <ATen/core/Tensor.h>

#include "kernels/simd/tokens.h"

namespace m3d {

/// Absent for an undefined tensor. The tensor's values are taken for T's: the caller has looked at the dtype.
template <class T>
Tokens<T> tokens_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {static_cast<T*>(tensor.data_ptr()), tensor.stride(0), tensor.stride(1)};
}

/// Null for an undefined tensor.
template <class T>
const T* values_of(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}

}  // namespace m3d
