// Speed of the causal convolution, float32, B=1, width 4, bias, SiLU, beside torch's grouped conv1d and silu.
#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <functional>
#include <vector>

#include "kernels/causal_conv1d/causal_conv1d.h"

namespace {

using Tensors = std::vector<at::Tensor>;
using Function = std::function<at::Tensor(const Tensors&)>;

at::Tensor ours(const Tensors& t) { return m3d::causal_conv1d(t[0], t[1], t[2], true); }

/// Channels first, as conv1d wants it.
at::Tensor torchs(const Tensors& t) {
  const std::int64_t length = t[0].size(2), channels = t[0].size(1);
  return torch::silu(torch::conv1d(t[0], t[1].unsqueeze(1), t[2], 1, 3, 1, channels).narrow(2, 0, length));
}

void run(benchmark::State& state, const Function& function, bool channels_last, bool backward) {
  torch::manual_seed(0);
  const std::int64_t channels = state.range(0), length = state.range(1);
  Tensors t{channels_last ? torch::randn({1, length, channels}) : torch::randn({1, channels, length}),
            torch::randn({channels, 4}), torch::randn({channels})};
  for (at::Tensor& tensor : t) tensor.requires_grad_(backward);
  const at::Tensor grad = torch::randn(t[0].sizes());
  for (auto _ : state) {
    const at::Tensor y = function(t);
    if (backward) benchmark::DoNotOptimize(torch::autograd::grad({y}, t, {grad}));
  }
  state.SetBytesProcessed(state.iterations() * 2 * t[0].nbytes());
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"C", "L"})->Args({96, 32768})->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(run, causal_conv1d_forward, ours, true, false)->Apply(shapes);
BENCHMARK_CAPTURE(run, causal_conv1d_forward_torch, torchs, false, false)->Apply(shapes);
BENCHMARK_CAPTURE(run, causal_conv1d_forward_backward, ours, true, true)->Apply(shapes);
BENCHMARK_CAPTURE(run, causal_conv1d_forward_backward_torch, torchs, false, true)->Apply(shapes);

}  // namespace
