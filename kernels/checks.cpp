#include "kernels/checks.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "kernels/parallel.h"

namespace m3d {

ArgumentChecks::ArgumentChecks(const char* op, const char* name, const at::Tensor& reference, std::int64_t dimensions,
                               bool half_types)
    : op_(op), reference_name_(name), reference_(reference) {
  TORCH_CHECK(reference.dim() == dimensions, op, ": ", name, " must have ", dimensions, " dimensions, has shape ",
              reference.sizes());
  const auto dtype = reference.scalar_type();
  const bool half = half_types && (dtype == at::kBFloat16 || dtype == at::kHalf);
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble || half, op, ": ", name, " must be float32",
              half_types ? ", float64, bfloat16 or float16" : " or float64", ", is ", dtype);
}

void ArgumentChecks::same_device(const char* name, const at::Tensor& tensor) const {
  TORCH_CHECK(tensor.device() == reference_.device(), op_, ": ", name, " must be on the device of ", reference_name_,
              " (", reference_.device(), "), is on ", tensor.device());
}

void ArgumentChecks::same_kind(const char* name, const at::Tensor& tensor) const {
  TORCH_CHECK(tensor.scalar_type() == reference_.scalar_type(), op_, ": ", name, " must have the dtype of ",
              reference_name_, " (", reference_.scalar_type(), "), is ", tensor.scalar_type());
  same_device(name, tensor);
}

void ArgumentChecks::same_shape(const char* name, const at::Tensor& tensor, at::IntArrayRef expected,
                                const char* meaning) const {
  TORCH_CHECK(tensor.sizes() == expected, op_, ": ", name, " must be ", meaning, " = ", expected, ", has shape ",
              tensor.sizes());
}

const ArgumentChecks& ArgumentChecks::parameter(const char* name, const std::optional<at::Tensor>& tensor,
                                                at::IntArrayRef expected, const char* meaning) const {
  if (!tensor) return *this;
  if (tensor->scalar_type() == accumulation_dtype(reference_.scalar_type()))
    same_device(name, *tensor);
  else
    same_kind(name, *tensor);
  same_shape(name, *tensor, expected, meaning);
  return *this;
}

const ArgumentChecks& ArgumentChecks::orders(const char* name, const std::optional<at::Tensor>& tensor,
                                             std::int64_t length) const {
  if (!tensor) return *this;
  same_device(name, *tensor);
  TORCH_CHECK(tensor->scalar_type() == at::kInt, op_, ": ", name, " must be int32, is ", tensor->scalar_type());
  TORCH_CHECK(tensor->dim() == 2 && tensor->size(0) >= 1 && tensor->size(1) == length, op_, ": ", name,
              " must be [K, L] with K >= 1 and L = ", length, ", has shape ", tensor->sizes());
  return *this;
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
  same_shape(name, tensor, expected, meaning);
  return *this;
}

const ArgumentChecks& ArgumentChecks::shape(const char* name, const std::optional<at::Tensor>& tensor,
                                            at::IntArrayRef expected, const char* meaning) const {
  return tensor ? shape(name, *tensor, expected, meaning) : *this;
}

void check_permutations(const char* op, const char* name, const at::Tensor& orders) {
  const at::Tensor table = orders.contiguous();
  const std::int64_t length = table.size(1);
  for (std::int64_t k = 0; k < table.size(0); ++k) {
    const std::int32_t* order = table.const_data_ptr<std::int32_t>() + k * length;
    std::vector<bool> seen(static_cast<std::size_t>(length));
    for (std::int64_t i = 0; i < length; ++i) {
      const std::int32_t token = order[i];
      const bool inside = token >= 0 && token < length;
      TORCH_CHECK(inside && !seen[token], op, ": ", name, "[", k, "] must be a permutation of 0 ... ", length - 1,
                  ", has ", token, inside ? " twice" : "");
      seen[token] = true;
    }
  }
}

bool wants_gradient(std::initializer_list<std::optional<at::Tensor>> tensors) {
  return at::GradMode::is_enabled() && std::any_of(tensors.begin(), tensors.end(), [](const auto& tensor) {
           return tensor && tensor->requires_grad();
         });
}

namespace {

/// Whether the dimensions from this one on lie together in memory.
bool is_dense_from(const at::Tensor& tensor, std::int64_t dimension) {
  std::int64_t stride = 1;
  for (std::int64_t d = tensor.dim() - 1; d >= dimension; --d) {
    if (tensor.size(d) != 1 && tensor.stride(d) != stride) return false;
    stride *= tensor.size(d);
  }
  return tensor.is_cpu();
}

/// sum_in_order along dimension 0 or 1, what follows being dense: many small parts in one pass.
template <class T>
void add_rows(const at::Tensor& parts, std::int64_t dimension, const at::Tensor& total) {
  constexpr std::int64_t chunk = 512;  // values: the sum of a chunk stays in the first-level cache
  const std::int64_t outer = dimension == 0 ? 1 : parts.size(0), count = parts.size(dimension);
  const std::int64_t outer_stride = dimension == 0 ? 0 : parts.stride(0), stride = parts.stride(dimension);
  const std::int64_t size = outer > 0 ? total.numel() / outer : 0, chunks = (size + chunk - 1) / chunk;
  const T* const from = parts.const_data_ptr<T>();
  T* const to = total.data_ptr<T>();
  for_each_piece(outer * chunks, count * chunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i / chunks, first = i % chunks * chunk, values = std::min(chunk, size - first);
      const T* const source = from + row * outer_stride + first;
      T* const sum = to + row * size + first;
      for (std::int64_t n = 0; n < values; ++n) sum[n] = source[n] + source[stride + n];
      for (std::int64_t k = 2; k < count; ++k)
        for (std::int64_t n = 0; n < values; ++n) sum[n] += source[k * stride + n];
    }
  });
}

}  // namespace

at::Tensor sum_in_order(const at::Tensor& parts, std::int64_t dimension) {
  const std::int64_t count = parts.size(dimension);
  const at::Tensor first = parts.select(dimension, 0);
  if (count == 1) return first.contiguous();
  at::Tensor total = at::empty(first.sizes(), first.options());
  const bool rows = dimension <= 1 && is_dense_from(parts, dimension + 1);
  if (rows && parts.scalar_type() == at::kFloat) {
    add_rows<float>(parts, dimension, total);
  } else if (rows && parts.scalar_type() == at::kDouble) {
    add_rows<double>(parts, dimension, total);
  } else {
    at::add_out(total, first, parts.select(dimension, 1));
    for (std::int64_t k = 2; k < count; ++k) total.add_(parts.select(dimension, k));
  }
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
