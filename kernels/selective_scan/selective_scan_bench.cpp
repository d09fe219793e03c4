// Speed of the selective scan, float32, B=1, N=16, softplus, D, delta_bias, no z, at the shapes of the Ulike stages.
#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <vector>

#include "kernels/selective_scan/selective_scan.h"

namespace {

std::vector<at::Tensor> make_arguments(std::int64_t channels, std::int64_t length, bool gradient) {
  torch::manual_seed(0);
  const std::int64_t states = 16;
  std::vector<at::Tensor> t{torch::randn({1, length, channels}),
                            torch::randn({1, length, channels}) - 4,
                            -torch::arange(1, states + 1, torch::kFloat).repeat({channels, 1}),
                            torch::randn({1, length, states}),
                            torch::randn({1, length, states}),
                            torch::ones({channels}),
                            torch::zeros({channels})};
  for (at::Tensor& tensor : t) tensor.requires_grad_(gradient);
  return t;
}

at::Tensor scan(const std::vector<at::Tensor>& t) {
  return m3d::selective_scan(t[0], t[1], t[2], t[3], t[4], t[5], std::nullopt, t[6], true);
}

void set_rates(benchmark::State& state) {
  const double updates = 16.0 * static_cast<double>(state.range(0) * state.range(1));
  state.counters["state_updates/s"] = benchmark::Counter(updates, benchmark::Counter::kIsIterationInvariantRate);
}

void selective_scan_forward(benchmark::State& state) {
  const auto t = make_arguments(state.range(0), state.range(1), false);
  for (auto _ : state) benchmark::DoNotOptimize(scan(t));
  set_rates(state);
}

void selective_scan_forward_backward(benchmark::State& state) {
  const auto t = make_arguments(state.range(0), state.range(1), true);
  const at::Tensor grad = torch::randn({1, state.range(1), state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(torch::autograd::grad({scan(t)}, t, {grad}));
  set_rates(state);
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"D", "L"})->Args({96, 32768})->Args({512, 4096})->Args({1024, 512});
  bench->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK(selective_scan_forward)->Apply(shapes);
BENCHMARK(selective_scan_forward_backward)->Apply(shapes);

}  // namespace
