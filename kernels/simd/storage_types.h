#pragma once
// Which types the inner loops compute and store in, for a tensor's dtype.
#include <ATen/core/Tensor.h>

#include "kernels/simd/storage.h"

namespace m3d {

/// run.template operator()<T, S>(): arithmetic in T, tensors of `dtype` stored as S.
template <class Run>
void with_storage(const char* op, at::ScalarType dtype, const Run& run) {
  if (dtype == at::kDouble) return run.template operator()<double, double>();
  if (dtype == at::kFloat) return run.template operator()<float, float>();
  if (dtype == at::kBFloat16) return run.template operator()<float, Bfloat16>();
  TORCH_CHECK(dtype == at::kHalf, op, ": dtype ", dtype, " is not supported on CPU");
  run.template operator()<float, Float16>();
}

}  // namespace m3d
