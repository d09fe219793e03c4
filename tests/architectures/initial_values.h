#pragma once
// How a network's parameters start, by groups of tensors.
#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <string>

namespace m3d {

struct Moments {
  double mean = 0, deviation = 0;
  std::int64_t count = 0;
};

/// Of all values together whose tensor `scale` gives a number, each divided by that number.
inline Moments scaled_moments(const torch::nn::Module& network,
                              const std::function<double(const std::string& name, const torch::Tensor& value)>& scale) {
  double sum = 0, squares = 0;
  Moments moments;
  for (const auto& parameter : network.named_parameters()) {
    const double by = scale(parameter.key(), parameter.value());
    if (by == 0) continue;
    const auto values = parameter.value().detach().to(torch::kFloat64) / by;
    sum += values.sum().item<double>(), squares += values.square().sum().item<double>();
    moments.count += values.numel();
  }
  moments.mean = sum / static_cast<double>(moments.count);
  moments.deviation = std::sqrt(squares / static_cast<double>(moments.count) - moments.mean * moments.mean);
  return moments;
}

inline double inputs_of_one_output(const torch::Tensor& weight) {
  return static_cast<double>(weight.numel() / weight.size(0));
}

inline bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace m3d
