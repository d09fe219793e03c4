#include "kernels/benchmark/benchmark.h"

#include <c10/util/Exception.h>

#include <algorithm>

namespace m3d::bench {
namespace {

std::vector<Registration::Add>& registered() {
  static std::vector<Registration::Add> list;
  return list;
}

}  // namespace

Registration::Registration(Add add) { registered().push_back(add); }

std::vector<Benchmark> all_benchmarks() {
  std::vector<Benchmark> benchmarks;
  for (const Registration::Add add : registered()) add(benchmarks);
  std::sort(benchmarks.begin(), benchmarks.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (std::size_t i = 1; i < benchmarks.size(); ++i)
    TORCH_CHECK(benchmarks[i].name != benchmarks[i - 1].name, "benchmark '", benchmarks[i].name, "' is there twice");
  return benchmarks;
}

std::string pass_name(bool backward) { return backward ? "forward_backward" : "forward"; }

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      return c10::toString(dtype);
  }
}

}  // namespace m3d::bench
