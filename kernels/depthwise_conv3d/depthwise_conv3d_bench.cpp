// Speed of the depthwise convolution: B=1, bias, no activation, at the stages of UlikeMamba_3d; MSv4's kernels 3, 5, 7
// in one pass (multiscale) and one by one (multiscale_separate).
#include <torch/torch.h>

#include "kernels/benchmark/operator_problem.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d_reference.h"

namespace m3d::bench {
namespace {

struct Shape {
  std::int64_t channels, depth, height, width;
};
/// The four stages at 64x128x128 (the first three are the peers' shapes), then the first two at 48x192x192.
constexpr Shape kShapes[] = {{96, 32, 32, 32}, {256, 16, 16, 16}, {512, 8, 8, 8},
                             {1024, 4, 4, 4},  {96, 24, 48, 48},  {256, 12, 24, 24}};

at::Tensor ours(const Tensors& t) { return depthwise_conv3d(t[0], t[1], t[2]); }
at::Tensor reference(const Tensors& t) { return depthwise_conv3d_reference(t[0], t[1], t[2], false); }

Tensors make_inputs(const Shape& shape, std::int64_t kernel, at::ScalarType dtype, at::Device device) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  return {torch::randn({1, shape.depth, shape.height, shape.width, shape.channels}, options),
          torch::randn({shape.channels, 1, kernel, kernel, kernel}, options), torch::randn({shape.channels}, options)};
}

/// Taps within the grid, over all positions of an axis: those in the padding need no work.
double taps_along(std::int64_t size, std::int64_t kernel) {
  std::int64_t taps = 0;
  for (std::int64_t offset = -(kernel / 2); offset <= kernel / 2; ++offset)
    taps += std::max<std::int64_t>(0, size - std::abs(offset));
  return static_cast<double>(taps);
}

Work work_of(const Tensors& inputs, const Shape& shape, std::int64_t kernel, bool backward) {
  Work work;
  work.elements = static_cast<double>(inputs[0].numel());
  work.bytes = bytes_moved(inputs, inputs[0], backward);
  work.operations = static_cast<double>(shape.channels) * taps_along(shape.depth, kernel) *
                    taps_along(shape.height, kernel) * taps_along(shape.width, kernel) * (backward ? 3 : 1);
  return work;
}

std::string name_of(const std::string& name, const Shape& shape, at::ScalarType dtype, bool backward) {
  return name + "/" + pass_name(backward) + "/" + dtype_name(dtype) + "/C:" + std::to_string(shape.channels) +
         "/S:" + std::to_string(shape.depth) + "x" + std::to_string(shape.height) + "x" + std::to_string(shape.width);
}

// --- Several kernels: x, three weights, three biases -----------------------------------------------------------------

constexpr std::int64_t kScales[] = {3, 5, 7};

at::Tensor together(const Tensors& t) {
  return depthwise_conv3d_multiscale(t[0], {t[1], t[2], t[3]}, {t[4], t[5], t[6]});
}
at::Tensor one_by_one(const Tensors& t) {
  Tensors scales;
  for (std::size_t s = 0; s < 3; ++s) scales.push_back(depthwise_conv3d(t[0], t[1 + s], t[4 + s]));
  return torch::stack(scales, 1);
}
at::Tensor scales_reference(const Tensors& t) {
  Tensors scales;
  for (std::size_t s = 0; s < 3; ++s) scales.push_back(depthwise_conv3d_reference(t[0], t[1 + s], t[4 + s], false));
  return torch::stack(scales, 1);
}

Tensors make_scales_inputs(const Shape& shape, at::ScalarType dtype, at::Device device) {
  Tensors inputs = {make_inputs(shape, 3, dtype, device)[0]};
  for (const std::size_t part : {1, 2})
    for (const std::int64_t kernel : kScales) inputs.push_back(make_inputs(shape, kernel, dtype, device)[part]);
  return inputs;
}

Work work_of_scales(const Tensors& inputs, const Shape& shape, bool backward) {
  Work work;
  for (const std::int64_t kernel : kScales) work.operations += work_of(inputs, shape, kernel, backward).operations;
  work.elements = 3 * static_cast<double>(inputs[0].numel());
  work.bytes = bytes_moved(inputs, torch::empty_like(inputs[0]).expand({3, -1, -1, -1, -1, -1}), backward);
  return work;
}

void add_scales(std::vector<Benchmark>& benchmarks) {
  for (const auto& [name, form] : {std::pair{"depthwise_conv3d_multiscale", &together},
                                   std::pair{"depthwise_conv3d_multiscale_separate", &one_by_one}})
    for (const bool backward : {false, true})
      for (const Shape& shape : kShapes)
        benchmarks.push_back({name_of(name, shape, at::kFloat, backward), [=](at::Device device) {
                                torch::manual_seed(0);
                                const Tensors inputs = make_scales_inputs(shape, at::kFloat, device);
                                return make_problem({form, scales_reference, inputs, backward, {4, 0, 0, 0, 0, 0, 0}},
                                                    work_of_scales(inputs, shape, backward));
                              }});
}

void add(std::vector<Benchmark>& benchmarks) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    if (!takes(ours, make_inputs({8, 1, 1, 1}, 3, dtype, at::kCPU))) continue;
    for (const bool backward : {false, true})
      for (const Shape& shape : kShapes)
        for (const std::int64_t kernel : {3, 5, 7})
          benchmarks.push_back({name_of("depthwise_conv3d", shape, dtype, backward) + "/k:" + std::to_string(kernel),
                                [=](at::Device device) {
                                  torch::manual_seed(0);
                                  const Tensors inputs = make_inputs(shape, kernel, dtype, device);
                                  return make_problem({ours, reference, inputs, backward, {4, 0, 0}},
                                                      work_of(inputs, shape, kernel, backward));
                                }});
  }
  add_scales(benchmarks);
}

const Registration registered(add);

}  // namespace
}  // namespace m3d::bench
