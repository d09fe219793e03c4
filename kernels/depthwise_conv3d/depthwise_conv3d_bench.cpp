// Speed of the depthwise convolution, float32, B=1, bias, beside torch's in channels_last_3d, its better layout.
#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <functional>
#include <vector>

#include "kernels/depthwise_conv3d/depthwise_conv3d.h"

namespace {

using Tensors = std::vector<at::Tensor>;
using Function = std::function<at::Tensor(const Tensors&)>;

at::Tensor ours(const Tensors& t) { return m3d::depthwise_conv3d(t[0], t[1], t[2]); }

/// [B, D, H, W, C] seen as [B, C, D, H, W] is channels_last_3d already.
at::Tensor torchs(const Tensors& t) {
  const at::Tensor x = t[0].permute({0, 4, 1, 2, 3});
  return torch::conv3d(x, t[1], t[2], 1, t[1].size(2) / 2, 1, t[1].size(0)).permute({0, 2, 3, 4, 1});
}

void run(benchmark::State& state, const Function& function, bool backward) {
  torch::manual_seed(0);
  const std::int64_t channels = state.range(0), size = state.range(1), kernel = state.range(2);
  Tensors t{torch::randn({1, size, size, size, channels}), torch::randn({channels, 1, kernel, kernel, kernel}),
            torch::randn({channels})};
  for (at::Tensor& tensor : t) tensor.requires_grad_(backward);
  const at::Tensor grad = torch::randn(t[0].sizes());
  for (auto _ : state) {
    const at::Tensor y = function(t);
    if (backward) benchmark::DoNotOptimize(torch::autograd::grad({y}, t, {grad}));
  }
  const double macs = static_cast<double>(t[0].numel() * kernel * kernel * kernel) * (backward ? 3 : 1);
  state.counters["MAC/s"] = benchmark::Counter(macs, benchmark::Counter::kIsIterationInvariantRate);
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"C", "S", "k"})->ArgsProduct({{96}, {32}, {3, 5, 7}});
  bench->ArgsProduct({{256}, {16}, {3, 5, 7}})->ArgsProduct({{512}, {8}, {3, 5, 7}});
  bench->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(run, depthwise_conv3d_forward, ours, false)->Apply(shapes);
BENCHMARK_CAPTURE(run, depthwise_conv3d_forward_torch, torchs, false)->Apply(shapes);
BENCHMARK_CAPTURE(run, depthwise_conv3d_forward_backward, ours, true)->Apply(shapes);
BENCHMARK_CAPTURE(run, depthwise_conv3d_forward_backward_torch, torchs, true)->Apply(shapes);

}  // namespace
