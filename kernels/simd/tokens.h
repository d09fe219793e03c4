#pragma once
#include <cstdint>

namespace m3d {

/// A [B, L, *] tensor whose last dimension is dense. Null data: the tensor is absent.
template <class T>
struct Tokens {
  T* data = nullptr;
  std::int64_t batch_stride = 0;
  std::int64_t token_stride = 0;
  constexpr T* at(std::int64_t batch, std::int64_t token) const { return data + batch * batch_stride + token * token_stride; }
};

}  // namespace m3d
