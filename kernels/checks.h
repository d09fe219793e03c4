#pragma once
// Argument checks that the operators share. Each throws c10::Error naming the operator, the argument and the rule.
#include <ATen/core/Tensor.h>

#include <initializer_list>
#include <optional>

namespace m3d {

class ArgumentChecks {
 public:
  /// The other arguments must have the dtype and the device of `reference`: float32 or float64, or where the operator
  /// has `half_types` bfloat16 or float16.
  ArgumentChecks(const char* op, const char* name, const at::Tensor& reference, std::int64_t dimensions,
                 bool half_types = false);

  const ArgumentChecks& shape(const char* name, const at::Tensor& tensor, at::IntArrayRef expected,
                              const char* meaning) const;
  const ArgumentChecks& shape(const char* name, const std::optional<at::Tensor>& tensor, at::IntArrayRef expected,
                              const char* meaning) const;
  /// One that may have the accumulation dtype instead.
  const ArgumentChecks& parameter(const char* name, const std::optional<at::Tensor>& tensor, at::IntArrayRef expected,
                                  const char* meaning) const;
  /// [K, L] int32 with K >= 1, on the same device.
  const ArgumentChecks& orders(const char* name, const std::optional<at::Tensor>& tensor, std::int64_t length) const;
  /// Number of dimensions only.
  const ArgumentChecks& dimensions(const char* name, const at::Tensor& tensor, std::int64_t expected,
                                   const char* meaning) const;

 private:
  void same_device(const char* name, const at::Tensor& tensor) const;
  void same_kind(const char* name, const at::Tensor& tensor) const;
  void same_shape(const char* name, const at::Tensor& tensor, at::IntArrayRef expected, const char* meaning) const;

  const char* op_;
  const char* reference_name_;
  const at::Tensor& reference_;
};

/// Each row of `orders` [K, L] (int32, on the CPU) must hold each of 0 … L - 1 once.
void check_permutations(const char* op, const char* name, const at::Tensor& orders);

/// What is summed in: float64 for float64, else float32.
inline at::ScalarType accumulation_dtype(at::ScalarType stored) {
  return stored == at::kDouble ? at::kDouble : at::kFloat;
}

/// Whether autograd would record an operator of these tensors now.
bool wants_gradient(std::initializer_list<std::optional<at::Tensor>> tensors);

/// parts[0] + parts[1] + … along `dimension`, always in this order (at::sum's order depends on the threads).
/// Contiguous; where `parts` has one only, the result may share its memory.
at::Tensor sum_in_order(const at::Tensor& parts, std::int64_t dimension);

/// Room for `count` partial gradients of this shape, to be filled piece by piece and summed in order; one that is zero
/// if there is no piece.
at::Tensor empty_parts(std::int64_t count, at::IntArrayRef shape, const at::TensorOptions& options);

/// The tensor itself if neighbours of its last dimension are neighbours in memory, else a contiguous copy.
at::Tensor with_dense_rows(const at::Tensor& tensor);

}  // namespace m3d
