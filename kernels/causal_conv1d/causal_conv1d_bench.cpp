// Speed of the causal convolution: B=1, width 4, bias, SiLU, at the layers of the real networks.
#include <torch/torch.h>

#include "kernels/benchmark/operator_problem.h"
#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/causal_conv1d/causal_conv1d_reference.h"

namespace m3d::bench {
namespace {

constexpr std::int64_t kWidth = 4;

struct Shape {
  std::int64_t channels, length;
};
/// UlikeMamba's stages at 64x128x128 (the first is the peers' shape) and its first at 48x192x192; SegMamba's first and
/// second at 128^3; U-Mamba's bottleneck.
constexpr Shape kShapes[] = {{96, 32768}, {256, 4096},  {512, 512},   {1024, 64},
                             {96, 55296}, {96, 262144}, {192, 32768}, {640, 64}};

at::Tensor ours(const Tensors& t) { return causal_conv1d(t[0], t[1], t[2], true); }
at::Tensor reference(const Tensors& t) { return causal_conv1d_reference(t[0], t[1], t[2], true); }

Tensors make_inputs(const Shape& shape, at::ScalarType dtype, at::Device device) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  return {torch::randn({1, shape.length, shape.channels}, options), torch::randn({shape.channels, kWidth}, options),
          torch::randn({shape.channels}, options)};
}

Work work_of(const Tensors& inputs, bool backward) {
  Work work;
  work.elements = static_cast<double>(inputs[0].numel());
  work.bytes = bytes_moved(inputs, inputs[0], backward);
  // Backward: the convolution again for SiLU's derivative, then the gradients of x and of the weight.
  work.operations = work.elements * kWidth * (backward ? 4 : 1);
  work.exponentials = work.elements * (backward ? 2 : 1);
  return work;
}

void add(std::vector<Benchmark>& benchmarks) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    if (!takes(ours, make_inputs({8, 4}, dtype, at::kCPU))) continue;
    for (const bool backward : {false, true})
      for (const Shape& shape : kShapes) {
        const std::string name = "causal_conv1d/" + pass_name(backward) + "/" + dtype_name(dtype) +
                                 "/C:" + std::to_string(shape.channels) + "/L:" + std::to_string(shape.length);
        benchmarks.push_back(
            {name, [=](at::Device device) {
               torch::manual_seed(0);
               const Tensors inputs = make_inputs(shape, dtype, device);
               return make_problem({ours, reference, inputs, backward, {2, 0, 0}}, work_of(inputs, backward));
             }});
      }
  }
}

const Registration registered(add);

}  // namespace
}  // namespace m3d::bench
