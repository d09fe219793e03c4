// Speed of the selective scan: B=1, N=16, softplus, D, delta_bias, no z, at the layers of the real networks.
#include <torch/torch.h>

#include <algorithm>

#include "kernels/benchmark/operator_problem.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/selective_scan/selective_scan_reference.h"

namespace m3d::bench {
namespace {

constexpr std::int64_t kStates = 16;
/// The reference, one token after another, sees the beginning only; the whole is checked against float64.
constexpr std::int64_t kReferenceTokens = 64;

struct Shape {
  std::int64_t channels, length;
};
/// The peers' three; UlikeMamba_3d's first two stages at 64x128x128 (the first is a peers') and at 48x192x192;
/// SegMamba's first two at 128^3; U-Mamba's bottleneck.
constexpr Shape kShapes[] = {{96, 32768}, {512, 4096},  {1024, 512},  {256, 4096}, {96, 55296},
                             {256, 6912}, {96, 262144}, {192, 32768}, {640, 64}};

at::Tensor scan(const Tensors& t) {
  return selective_scan(t[0], t[1], t[2], t[3], t[4], t[5], std::nullopt, t[6], true);
}
at::Tensor reference(const Tensors& t) {
  return std::get<0>(selective_scan_reference(t[0], t[1], t[2], t[3], t[4], t[5], std::nullopt, t[6], true));
}

Tensors make_inputs(const Shape& shape, at::ScalarType dtype, at::Device device) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  return {torch::randn({1, shape.length, shape.channels}, options),
          torch::randn({1, shape.length, shape.channels}, options) - 4,
          -torch::arange(1, kStates + 1, options).repeat({shape.channels, 1}),
          torch::randn({1, shape.length, kStates}, options),
          torch::randn({1, shape.length, kStates}, options),
          torch::ones({shape.channels}, options),
          torch::zeros({shape.channels}, options)};
}

Work work_of(const Tensors& inputs, bool backward) {
  Work work;
  work.elements = static_cast<double>(inputs[0].numel());
  work.bytes = bytes_moved(inputs, inputs[0], backward);
  const double updates = work.elements * kStates;
  // A state update is 8 operations of exp2 and 4 others; backward has 19 more (recomputation 11, reverse sweep 8).
  work.operations = updates * (backward ? 31 : 12);
  work.exponentials = updates * (backward ? 2 : 1);
  return work;
}

/// The first tokens of a problem: that of a shorter sequence, since the scan is causal.
Tensors beginning(const Tensors& inputs) {
  Tensors cut;
  for (const at::Tensor& input : inputs) {
    const at::Tensor values = input.detach();
    cut.push_back(values.dim() == 3 ? values.narrow(1, 0, std::min(values.size(1), kReferenceTokens)) : values);
  }
  return cut;
}

Problem make_scan_problem(const Tensors& inputs, bool backward) {
  const Problem whole = make_problem({scan, scan, inputs, backward}, work_of(inputs, backward));
  const Problem start = make_problem({scan, reference, beginning(inputs), backward}, {});
  Problem problem = whole;
  problem.error = [whole, start](const Tensors& results) {
    return std::max(whole.error(results), start.error(start.call()));
  };
  return problem;
}

void add(std::vector<Benchmark>& benchmarks) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    if (!takes(scan, make_inputs({8, 4}, dtype, at::kCPU))) continue;
    for (const bool backward : {false, true})
      for (const Shape& shape : kShapes) {
        const std::string name = "selective_scan/" + pass_name(backward) + "/" + dtype_name(dtype) +
                                 "/D:" + std::to_string(shape.channels) + "/L:" + std::to_string(shape.length);
        benchmarks.push_back({name, [=](at::Device device) {
                                torch::manual_seed(0);
                                return make_scan_problem(make_inputs(shape, dtype, device), backward);
                              }});
      }
  }
}

const Registration registered(add);

}  // namespace
}  // namespace m3d::bench
