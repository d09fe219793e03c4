#pragma once
// A benchmark of an operator: a call, the proof that its result is right, and the least work that it must do. Every
// <operator>_bench.cpp registers its own; bench_kernels (Google Benchmark) and m3d-bench kernels run them all.
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace m3d::bench {

using Tensors = std::vector<at::Tensor>;

/// The least that one call must do, from which the machine's limit follows (limits.h).
struct Work {
  double elements = 0;      // of the output: what elements/s counts
  double bytes = 0;         // inputs, outputs and gradients, each moved once
  double operations = 0;    // float32 multiply-adds, and other operations that take a unit as long
  double exponentials = 0;  // exp2 in float32
};

/// A benchmark with its tensors made. Its calls differ in nothing.
struct Problem {
  std::function<Tensors()> call;                // what is timed
  std::function<double(const Tensors&)> error;  // largest relative error of a call's results against the reference
  double tolerance = 0;                         // an error above it is a wrong result
  Work work;
};

struct Benchmark {
  std::string name;  // operator/pass/dtype/shape, as in "causal_conv1d/forward/float32/C:96/L:32768"
  std::function<Problem(at::Device)> prepare;
};

/// In a <operator>_bench.cpp: `const Registration registered(add);`, where `add` appends its benchmarks.
/// They are asked for when the program runs, so that operators can be called to see what they take.
class Registration {
 public:
  using Add = void (*)(std::vector<Benchmark>&);
  explicit Registration(Add add);
};

/// Every registered benchmark, by name. Throws c10::Error for a name given twice.
std::vector<Benchmark> all_benchmarks();

/// "forward" or "forward_backward"; "float32", "bfloat16".
std::string pass_name(bool backward);
std::string dtype_name(at::ScalarType dtype);

}  // namespace m3d::bench
