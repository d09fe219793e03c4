#include "kernels/checks.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace m3d {

ArgumentChecks::ArgumentChecks(const char* op, const char* name, const at::Tensor& reference, std::int64_t dimensions)
    : op_(op), reference_name_(name), reference_(reference) {
  TORCH_CHECK(reference.dim() == dimensions, op, ": ", name, " must have ", dimensions, " dimensions, has shape ",
              reference.sizes());
  TORCH_CHECK(reference.scalar_type() == at::kFloat || reference.scalar_type() == at::kDouble, op, ": ", name,
              " must be float32 or float64, is ", reference.scalar_type());
}

void ArgumentChecks::same_kind(const char* name, const at::Tensor& tensor) const {
  TORCH_CHECK(tensor.scalar_type() == reference_.scalar_type(), op_, ": ", name, " must have the dtype of ",
              reference_name_, " (", reference_.scalar_type(), "), is ", tensor.scalar_type());
  TORCH_CHECK(tensor.device() == reference_.device(), op_, ": ", name, " must be on the device of ", reference_name_,
              " (", reference_.device(), "), is on ", tensor.device());
}

const ArgumentChecks& ArgumentChecks::dimensions(const char* name, const at::Tensor& tensor, std::int64_t expected,
                                                 const char* meaning) const {
  same_kind(name, tensor);
  TORCH_CHECK(tensor.dim() == expected, op_, ": ", name, " must be ", meaning, ", has shape ", tensor.sizes());
  return *this;
}

const ArgumentChecks& ArgumentChecks::shape(const char* name, const at::Tensor& tensor, at::IntArrayRef expected,
                                            const char* meaning) const {
  same_kind(name, tensor);
  TORCH_CHECK(tensor.sizes() == expected, op_, ": ", name, " must be ", meaning, " = ", expected, ", has shape ",
              tensor.sizes());
  return *this;
}

const ArgumentChecks& ArgumentChecks::shape(const char* name, const std::optional<at::Tensor>& tensor,
                                            at::IntArrayRef expected, const char* meaning) const {
  return tensor ? shape(name, *tensor, expected, meaning) : *this;
}

bool wants_gradient(std::initializer_list<std::optional<at::Tensor>> tensors) {
  return at::GradMode::is_enabled() && std::any_of(tensors.begin(), tensors.end(), [](const auto& tensor) {
           return tensor && tensor->requires_grad();
         });
}

at::Tensor sum_in_order(const at::Tensor& parts, std::int64_t dimension) {
  at::Tensor total = parts.select(dimension, 0).clone(at::MemoryFormat::Contiguous);
  for (std::int64_t k = 1; k < parts.size(dimension); ++k) total.add_(parts.select(dimension, k));
  return total;
}

at::Tensor empty_parts(std::int64_t count, at::IntArrayRef shape, const at::TensorOptions& options) {
  std::vector<std::int64_t> sizes{std::max<std::int64_t>(count, 1)};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  return count > 0 ? at::empty(sizes, options) : at::zeros(sizes, options);
}

at::Tensor with_dense_rows(const at::Tensor& tensor) {
  return tensor.stride(-1) == 1 || tensor.size(-1) == 1 ? tensor : tensor.contiguous();
}

}  // namespace m3d
