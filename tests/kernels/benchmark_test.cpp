// The benchmarks' own machinery: wrong results do not pass, limits are positive, everything is measured.
#include <torch/torch.h>

#include <cmath>
#include <regex>
#include <set>

#include "kernels/benchmark/measure.h"
#include "kernels/benchmark/operator_problem.h"
#include "tests/catch.h"

using namespace m3d::bench;

namespace {

at::Tensor doubled(const Tensors& t) { return t[0] * 2 + t[1]; }
at::Tensor slightly_wrong(const Tensors& t) {
  at::Tensor y = doubled(t);
  if (y.scalar_type() == at::kFloat) y = y + 1e-3 * (torch::arange(y.size(1)) == 0);
  return y;
}
at::Tensor not_a_number(const Tensors& t) { return doubled(t) * std::nan(""); }

Tensors inputs() { return {torch::randn({30, 40}), torch::randn({40})}; }

Benchmark toy(const std::string& name, const Operator& ours, bool backward, std::vector<std::int64_t> channels = {}) {
  return {name, [=](at::Device) {
            torch::manual_seed(0);
            return make_problem({ours, doubled, inputs(), backward, channels}, {1200, 9600, 1200, 0});
          }};
}

void quiet(const std::string&, long, long) {}

std::string failure_of(const Benchmark& benchmark) {
  std::optional<double> error;
  return wrong_result(benchmark.prepare(at::kCPU), error);
}

}  // namespace

TEST_CASE("benchmarks: a right result passes, a wrong one does not", "[benchmark]") {
  for (const bool backward : {false, true}) {
    CHECK(failure_of(toy("right", doubled, backward)).empty());
    CHECK_THAT(failure_of(toy("wrong", slightly_wrong, backward)), Catch::Contains("wrong result"));
    CHECK_THAT(failure_of(toy("nan", not_a_number, backward)), Catch::Contains("wrong result"));
  }
  // The first channel is among those that are checked.
  CHECK(failure_of(toy("right", doubled, true, {1, 0})).empty());
  CHECK_THAT(failure_of(toy("wrong", slightly_wrong, true, {1, 0})), Catch::Contains("wrong result"));
}

TEST_CASE("benchmarks: a wrong gradient is a wrong result", "[benchmark]") {
  // The value is right, the gradient of the first input is absent.
  const Operator detached = [](const Tensors& t) { return doubled({t[0].detach() + 0 * t[0], t[1]}); };
  CHECK(failure_of(toy("forward", detached, false)).empty());
  CHECK_THAT(failure_of(toy("backward", detached, true)), Catch::Contains("wrong result"));
}

TEST_CASE("benchmarks: relative errors are those of the worst result", "[benchmark]") {
  const at::Tensor expected = torch::tensor({4.0, -8.0}, at::kDouble);
  CHECK(largest_relative_error({expected, expected + 0.8}, {expected, expected}) == Approx(0.1));
  CHECK(largest_relative_error({expected}, {expected, expected}) == INFINITY);
  CHECK(largest_relative_error({expected.view({1, 2})}, {expected}) == INFINITY);
  CHECK(largest_relative_error({expected * INFINITY}, {expected}) == INFINITY);
}

TEST_CASE("benchmarks: a failure costs no other, and right ones get every repetition", "[benchmark]") {
  MeasureOptions options;
  options.repetitions = 4;
  options.repetition_seconds = 1e-4;
  Limits limits(at::kCPU);
  const Benchmark thrower{"throws", [](at::Device) -> Problem { throw std::runtime_error("no such shape"); }};
  const auto measured =
      measure({toy("a", doubled, true), toy("b", slightly_wrong, false), thrower, toy("c", doubled, false)}, options,
              limits, quiet);
  REQUIRE(measured.size() == 4);
  CHECK_THAT(measured[1].failure, Catch::Contains("wrong result"));
  CHECK(measured[1].wall.empty());
  CHECK(measured[2].failure == "no such shape");
  for (const std::size_t i : {0, 3}) {
    CHECK(measured[i].failure.empty());
    CHECK((measured[i].error && *measured[i].error < 1e-6));
    CHECK(measured[i].wall.size() == 4);
    CHECK(measured[i].cpu.size() == 4);
    for (const double seconds : measured[i].wall) CHECK(seconds > 0);
  }
}

TEST_CASE("benchmarks: what is not checked has no error", "[benchmark]") {
  MeasureOptions options{1, 1e-4, false, at::kCPU};
  Limits limits(at::kCPU);
  const auto measured = measure({toy("b", slightly_wrong, false)}, options, limits, quiet);
  CHECK_FALSE(measured[0].error);
  CHECK(measured[0].wall.size() == 1);
}

TEST_CASE("benchmarks: the machine's limits and the floor they set", "[benchmark]") {
  Limits limits(at::kCPU);
  // Any processor that runs this does more than 0.1 G a second; none reaches a million.
  for (const double rate :
       {limits.bandwidth(1 << 20), limits.operations_per_second(), limits.exponentials_per_second()})
    CHECK((rate > 1e8 && rate < 1e15));
  CHECK(limits.operations_per_second() > limits.exponentials_per_second());
  limits.bandwidth((1 << 20) + 1000);
  CHECK(limits.bandwidths().size() == 1);
  const Floor memory = limits.floor_of({0, 1 << 20, 1, 0});
  CHECK(memory.kind == "memory");
  CHECK(memory.seconds == Approx((1 << 20) / limits.bandwidth(1 << 20)));
  const Floor arithmetic = limits.floor_of({0, 1, 1e12, 1});
  CHECK(arithmetic.kind == "arithmetic");
  CHECK(arithmetic.seconds == Approx(1e12 / limits.operations_per_second()));
  CHECK(limits.floor_of({0, 1, 1, 1e12}).kind == "exponential");
}

TEST_CASE("benchmarks: every operator has some, with names that say what they are", "[benchmark]") {
  std::set<std::string> operators;
  const std::regex form("[a-z0-9_]+/(forward|forward_backward)/(float32|bfloat16|float16)/.+");
  for (const Benchmark& benchmark : all_benchmarks()) {
    CHECK(std::regex_match(benchmark.name, form));
    operators.insert(benchmark.name.substr(0, benchmark.name.find('/')));
  }
  for (const char* name : {"causal_conv1d", "depthwise_conv3d", "selective_scan"}) CHECK(operators.count(name) == 1);
}
