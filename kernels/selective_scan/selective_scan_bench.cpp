// Speed of the selective scan, B=1, N=16, softplus, D, delta_bias, no z, at the shapes of the networks' stages. Each
// benchmark first checks the operator against the reference version and ends the program if it is wrong.
#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/selective_scan/selective_scan.h"
#include "kernels/selective_scan/selective_scan_reference.h"

namespace {

constexpr std::int64_t kStates = 16;

/// What one benchmark measures: tokens of this type, scanned in natural order (1) or in three axis orders (3);
/// `copies`: by one scan an order, of permuted copies, as it is done without orders.
struct Variant {
  at::ScalarType type = at::kFloat;
  int orders = 1;
  bool copies = false;
  bool backward = false;
};

std::vector<at::Tensor> make_arguments(std::int64_t channels, std::int64_t length, const Variant& variant) {
  torch::manual_seed(0);
  std::vector<at::Tensor> t{torch::randn({1, length, channels}).to(variant.type),
                            (torch::randn({1, length, channels}) - 4).to(variant.type),
                            -torch::arange(1, kStates + 1, torch::kFloat).repeat({channels, 1}),
                            torch::randn({1, length, kStates}).to(variant.type),
                            torch::randn({1, length, kStates}).to(variant.type),
                            torch::ones({channels}),
                            torch::zeros({channels})};
  for (at::Tensor& tensor : t) tensor.requires_grad_(variant.backward);
  return t;
}

/// Row-major tokens of a grid of 8 x 8 lines, then with its axes permuted; none for one order.
std::optional<at::Tensor> make_orders(std::int64_t length, const Variant& variant) {
  if (variant.orders == 1) return std::nullopt;
  const at::Tensor grid = torch::arange(length, torch::kInt).view({8, 8, length / 64});
  return torch::stack(
      {grid.reshape({-1}), grid.permute({0, 2, 1}).reshape({-1}), grid.permute({1, 2, 0}).reshape({-1})});
}

at::Tensor scan(const std::vector<at::Tensor>& t, const std::optional<at::Tensor>& orders) {
  return m3d::selective_scan(t[0], t[1], t[2], t[3], t[4], t[5], std::nullopt, t[6], true, std::nullopt, orders);
}

at::Tensor scan_copies(const std::vector<at::Tensor>& t, const at::Tensor& orders) {
  at::Tensor sum;
  for (const at::Tensor& order : orders.to(at::kLong).unbind(0)) {
    std::vector<at::Tensor> permuted = t;
    for (const std::size_t k : {0, 1, 3, 4}) permuted[k] = t[k].index_select(1, order);
    const at::Tensor y = scan(permuted, std::nullopt).index_select(1, order.argsort());
    sum = sum.defined() ? sum + y : y;
  }
  return sum;
}

bool close(const at::Tensor& actual, const at::Tensor& expected, double tolerance) {
  const double scale = expected.abs().max().item<double>();
  return ((actual.to(at::kDouble) - expected).abs().max() <= tolerance * scale).item<bool>();
}

/// Output and gradients on a short sequence against the reference version in float64.
bool is_right(std::int64_t channels, Variant variant) {
  constexpr std::int64_t length = 128;
  variant.backward = true;
  const auto t = make_arguments(channels, length, variant);
  const auto orders = make_orders(length, variant);
  std::vector<at::Tensor> exact;
  for (const at::Tensor& tensor : t) exact.push_back(tensor.detach().to(at::kDouble).requires_grad_(true));
  const at::Tensor y = variant.copies ? scan_copies(t, *orders) : scan(t, orders);
  const at::Tensor expected = std::get<0>(m3d::selective_scan_reference(
      exact[0], exact[1], exact[2], exact[3], exact[4], exact[5], std::nullopt, exact[6], true, std::nullopt, orders));
  const double tolerance = variant.type == at::kFloat ? 1e-5 : 1e-2;
  if (!close(y, expected, tolerance)) return false;
  const auto gradients = torch::autograd::grad({y.sum()}, t);
  const auto expected_gradients = torch::autograd::grad({expected.sum()}, exact);
  for (std::size_t k = 0; k < t.size(); ++k)
    if (!close(gradients[k], expected_gradients[k], tolerance)) return false;
  return true;
}

void selective_scan(benchmark::State& state, const Variant& variant) {
  const std::int64_t channels = state.range(0), length = state.range(1);
  if (!is_right(channels, variant)) {
    std::fprintf(stderr, "selective_scan: wrong result with %ld channels\n", static_cast<long>(channels));
    std::exit(1);
  }
  const auto t = make_arguments(channels, length, variant);
  const auto orders = make_orders(length, variant);
  const at::Tensor grad = torch::randn({1, length, channels}).to(variant.type);
  for (auto _ : state) {
    const at::Tensor y = variant.copies ? scan_copies(t, *orders) : scan(t, orders);
    if (variant.backward) benchmark::DoNotOptimize(torch::autograd::grad({y}, t, {grad}));
    benchmark::DoNotOptimize(y);
  }
  // 12 vector operations an update forward, 31 with the backward: what a port floor is made of.
  const auto updates = static_cast<double>(variant.orders * kStates * channels * length);
  state.counters["state_updates/s"] = benchmark::Counter(updates, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["operations/s"] =
      benchmark::Counter((variant.backward ? 31 : 12) * updates, benchmark::Counter::kIsIterationInvariantRate);
}

/// (channels, tokens): the peers' shapes (also UlikeMamba_3d at 64x128x128), UlikeMamba_3d at 48x192x192, SegMamba at
/// 128 cubed, U-Mamba's bottleneck.
void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"D", "L"})->Args({96, 32768})->Args({512, 4096})->Args({1024, 512});
  bench->Args({256, 4096})->Args({512, 512})->Args({1024, 64});
  bench->Args({96, 55296})->Args({256, 6912});
  bench->Args({96, 262144})->Args({192, 32768})->Args({384, 4096})->Args({768, 512});
  bench->Args({640, 512});
  bench->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMillisecond);
}

/// `name`_forward and `name`_forward_backward; the rest are the Variant's first members.
#define M3D_SCAN_BENCHMARKS(name, ...)                                                                  \
  void name##_forward(benchmark::State& state) { selective_scan(state, {__VA_ARGS__, false}); }         \
  void name##_forward_backward(benchmark::State& state) { selective_scan(state, {__VA_ARGS__, true}); } \
  BENCHMARK(name##_forward)->Apply(shapes);                                                             \
  BENCHMARK(name##_forward_backward)->Apply(shapes)

M3D_SCAN_BENCHMARKS(selective_scan, at::kFloat, 1, false);
M3D_SCAN_BENCHMARKS(selective_scan_bf16, at::kBFloat16, 1, false);
M3D_SCAN_BENCHMARKS(selective_scan_tri, at::kFloat, 3, false);
M3D_SCAN_BENCHMARKS(selective_scan_tri_bf16, at::kBFloat16, 3, false);
M3D_SCAN_BENCHMARKS(selective_scan_tri_copies, at::kFloat, 3, true);

}  // namespace
