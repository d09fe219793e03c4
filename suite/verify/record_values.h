#pragma once
// What the checks of the pipeline's records share: inputs from names, summaries of tensors and label maps.
#include <torch/torch.h>

#include <regex>
#include <string>
#include <vector>

#include "suite/verify/verify.h"

namespace m3d {

/// u(name, i) of the records, float64, row-major.
torch::Tensor named_tensor(const std::string& name, at::IntArrayRef shape);
/// Class indices min(floor((u + 1) / 2 K), K - 1), int64.
torch::Tensor named_classes(const std::string& name, at::IntArrayRef shape, std::int64_t classes);

/// Samples [flat index, value] of a tensor; each difference against tolerance * max(scale, |value|).
void compare_samples(RecordComparison& compare, const std::string& what, const torch::Tensor& actual,
                     const Json& samples, double scale, double tolerance);
/// {shape, mean, std, min, max, abs_sum, samples}, those that are there; differences relative to `scale`.
void compare_summary(RecordComparison& compare, const std::string& what, const torch::Tensor& actual,
                     const Json& expected, double scale, double tolerance);
/// {shape, counts, fnv1a64_of_int16_le, samples}, exactly.
void compare_label_map(RecordComparison& compare, const std::string& what, const torch::Tensor& actual,
                       const Json& expected);

/// The first capture of `pattern` in `text` as a number; `default_value` where it is not found.
double number_in(const std::string& text, const std::string& pattern, double default_value);

}  // namespace m3d
