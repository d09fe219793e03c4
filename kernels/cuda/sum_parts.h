#pragma once
// Sums of partial gradients in an order that is always the same.
#include <cuda_runtime_api.h>

#include <cstdint>

namespace m3d::cuda {

/// out[i] = (add ? out[i] : 0) + sum over p of parts[p, i], i < columns. Value is float or double; Out a storage type.
template <class Value, class Out>
struct SumParts {
  const Value* parts;  // [count, columns]
  std::int64_t count, columns;
  bool add;
  Out* out;
};

template <class Value, class Out>
void sum_parts(const SumParts<Value, Out>& sum, cudaStream_t stream);

}  // namespace m3d::cuda
