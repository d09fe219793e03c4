#include "suite/verify/record_values.h"

#include <cinttypes>
#include <cstdio>
#include <map>

#include "common/hash.h"
#include "common/random.h"

namespace m3d {

torch::Tensor named_tensor(const std::string& name, at::IntArrayRef shape) {
  torch::Tensor tensor = torch::empty(shape, torch::kDouble);
  double* values = tensor.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) values[i] = named_uniform(name, static_cast<std::uint64_t>(i));
  return tensor;
}

torch::Tensor named_classes(const std::string& name, at::IntArrayRef shape, std::int64_t classes) {
  const torch::Tensor scaled = (named_tensor(name, shape) + 1) / 2 * classes;
  return scaled.floor().to(torch::kLong).clamp_max(classes - 1);
}

void compare_samples(RecordComparison& compare, const std::string& what, const torch::Tensor& actual,
                     const Json& samples, double scale, double tolerance) {
  const torch::Tensor flat = actual.to(torch::kDouble).contiguous().view({-1});
  const double* values = flat.const_data_ptr<double>();
  for (const Json& sample : samples) {
    const std::int64_t index = sample.at(0).get<std::int64_t>();
    const std::string name = what + "[" + std::to_string(index) + "]";
    if (index >= flat.numel())
      return compare.exact(name, false, "beyond the " + std::to_string(flat.numel()) + " values");
    const double value = sample.at(1).get<double>();
    compare.number(name, values[index], value, std::max(scale, std::abs(value)), tolerance);
  }
}

void compare_summary(RecordComparison& compare, const std::string& what, const torch::Tensor& actual,
                     const Json& expected, double scale, double tolerance) {
  const torch::Tensor values = actual.to(torch::kDouble);
  if (expected.contains("shape"))
    compare.exact(what + " shape",
                  values.sizes() == at::IntArrayRef(expected["shape"].get<std::vector<std::int64_t>>()));
  const auto check = [&](const char* key, const torch::Tensor& statistic, double size) {
    if (expected.contains(key))
      compare.number(what + " " + key, statistic.item<double>(), expected[key].get<double>(), size, tolerance);
  };
  check("mean", values.mean(), scale);
  check("std", values.std(false), scale);
  check("min", values.min(), scale);
  check("max", values.max(), scale);
  check("abs_sum", values.abs().sum(), scale * static_cast<double>(values.numel()));
  if (expected.contains("samples")) compare_samples(compare, what, values, expected["samples"], scale, tolerance);
}

void compare_label_map(RecordComparison& compare, const std::string& what, const torch::Tensor& actual,
                       const Json& expected) {
  const torch::Tensor labels = actual.to(torch::kShort).contiguous();
  compare.exact(what + " shape",
                labels.sizes() == at::IntArrayRef(expected.at("shape").get<std::vector<std::int64_t>>()));
  const auto* values = labels.const_data_ptr<std::int16_t>();
  std::map<std::string, std::int64_t> counts;
  for (std::int64_t i = 0; i < labels.numel(); ++i) ++counts[std::to_string(values[i])];
  compare.exact(what + " counts", (counts == expected.at("counts").get<std::map<std::string, std::int64_t>>()),
                "got " + Json(counts).dump());
  const std::string_view bytes(reinterpret_cast<const char*>(values), static_cast<std::size_t>(labels.numel()) * 2);
  char hash[24];
  std::snprintf(hash, sizeof hash, "0x%016" PRIx64, fnv1a64(bytes));
  compare.exact(what + " hash", expected.at("fnv1a64_of_int16_le") == hash, std::string("got ") + hash);
  compare_samples(compare, what, labels, expected.at("samples"), 0, 0);
}

double number_in(const std::string& text, const std::string& pattern, double default_value) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(pattern)) ? std::stod(match[1]) : default_value;
}

}  // namespace m3d
