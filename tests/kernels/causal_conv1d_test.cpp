#include "kernels/causal_conv1d/causal_conv1d.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "kernels/causal_conv1d/causal_conv1d_reference.h"
#include "tests/catch.h"
#include "tests/kernels/gradcheck.h"

using namespace m3d;
using namespace m3d::test;

namespace {

/// x, weight and perhaps bias.
Tensors make_arguments(std::int64_t batch, std::int64_t length, std::int64_t channels, std::int64_t width, bool bias) {
  Tensors t{fill("x", {batch, length, channels}), fill("weight", {channels, width})};
  if (bias) t.push_back(fill("bias", {channels}));
  return t;
}

at::Tensor call(decltype(causal_conv1d_reference) function, const Tensors& t, bool silu) {
  return function(t[0], t[1], t.size() > 2 ? OptionalTensor(t[2]) : std::nullopt, silu);
}

at::Tensor loss(decltype(causal_conv1d_reference) function, const Tensors& t, bool silu) {
  const at::Tensor y = call(function, t, silu);
  return (y * fill("weights", y.sizes()).to(y.scalar_type())).sum();
}

Tensors gradients_of(decltype(causal_conv1d_reference) function, const Tensors& t, bool silu) {
  return gradients([&](const Tensors& leaves) { return loss(function, leaves, silu); }, t);
}

}  // namespace

TEST_CASE("causal_conv1d: the operator records", "[causal_conv1d]") {
  const UseInstructionSet use(GENERATE(from_range(all_instruction_sets)));
  const auto record = load_record("causal_conv1d");
  for (const auto& entry : record.at("cases")) {
    const std::string id = entry.at("id");
    CAPTURE(id);
    const bool silu = !entry.at("activation").is_null();
    const auto& inputs = entry.at("inputs");
    Tensors t{recorded(inputs.at("x")).transpose(1, 2), recorded(inputs.at("weight"))};
    if (entry.at("has_bias")) t.push_back(recorded(inputs.at("bias")));
    CHECK(relative_error(call(causal_conv1d, t, silu).transpose(1, 2), recorded(entry.at("outputs").at("out"))) < 1e-9);
    const Tensors grads = gradients(
        [&](const Tensors& leaves) {
          const at::Tensor y = call(causal_conv1d, leaves, silu).transpose(1, 2);
          return (y * fill(id + ".w", y.sizes())).sum();
        },
        t);
    const auto& expected = entry.at("gradients");
    CHECK(relative_error(grads[0].transpose(1, 2), recorded(expected.at("x"))) < 1e-9);
    CHECK(relative_error(grads[1], recorded(expected.at("weight"))) < 1e-9);
    if (t.size() > 2) CHECK(relative_error(grads[2], recorded(expected.at("bias"))) < 1e-9);
  }
}

TEST_CASE("causal_conv1d: gradients against finite differences, every combination of options", "[causal_conv1d]") {
  for (std::int64_t width = 1; width <= 8; ++width)
    for (const bool bias : {false, true})
      for (const bool silu : {false, true}) {
        CAPTURE(width, bias, silu);
        const Tensors t = make_arguments(2, 7, 3, width, bias);
        CHECK(gradient_error([&](const Tensors& leaves) { return loss(causal_conv1d, leaves, silu); }, t) < 1e-8);
      }
}

TEST_CASE("causal_conv1d: equals the plain form for any length and channels", "[causal_conv1d]") {
  const UseInstructionSet use(GENERATE(from_range(all_instruction_sets)));
  for (const std::int64_t length : {0, 1, 2, 15, 16, 17, 31, 33, 511, 513, 1100})
    for (const std::int64_t channels : {1, 20, 33, 40}) {
      CAPTURE(length, channels);
      const Tensors t = make_arguments(2, length, channels, 1 + (length + channels) % 8, true);
      CHECK(relative_error(call(causal_conv1d, t, true), call(causal_conv1d_reference, t, true)) < 1e-13);
      const Tensors grads = gradients_of(causal_conv1d, t, true),
                    expected = gradients_of(causal_conv1d_reference, t, true);
      for (std::size_t k = 0; k < grads.size(); ++k) CHECK(relative_error(grads[k], expected[k]) < 1e-12);
    }
}

TEST_CASE("causal_conv1d: float32 against float64, bits independent of threads, 262144 tokens", "[causal_conv1d]") {
  const Tensors exact = make_arguments(1, 262144, 20, 4, true);
  Tensors t;
  for (const at::Tensor& tensor : exact) t.push_back(tensor.to(at::kFloat));
  const at::Tensor y = call(causal_conv1d, t, true);
  CHECK(relative_error(y, call(causal_conv1d, exact, true)) < 1e-6);
  const Tensors grads = gradients_of(causal_conv1d, t, true), expected = gradients_of(causal_conv1d, exact, true);
  for (std::size_t k = 0; k < grads.size(); ++k) CHECK(relative_error(grads[k], expected[k]) < 5e-6);
  const int threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 2 : 1);
  CHECK(torch::equal(y, call(causal_conv1d, t, true)));
  const Tensors again = gradients_of(causal_conv1d, t, true);
  for (std::size_t k = 0; k < grads.size(); ++k) CHECK(torch::equal(grads[k], again[k]));
  at::set_num_threads(threads);
}

TEST_CASE("causal_conv1d: tensors that are not contiguous", "[causal_conv1d]") {
  const Tensors t = make_arguments(2, 19, 20, 4, true);
  const at::Tensor half = torch::cat({t[0], t[0]}, 2).narrow(2, 20, 20);
  const at::Tensor channels_first = t[0].transpose(1, 2).contiguous().transpose(1, 2);
  const at::Tensor expected = call(causal_conv1d, t, true);
  for (const at::Tensor& x : {half, channels_first})
    CHECK(torch::equal(call(causal_conv1d, {x, t[1].t().contiguous().t(), t[2]}, true), expected));
}

TEST_CASE("causal_conv1d: the dispatcher sees one call, on meta tensors too", "[causal_conv1d]") {
  for (const auto device : {at::kCPU, at::kMeta})
    for (const bool grad : {false, true}) {
      const at::Tensor x = torch::zeros({1, 6, 5}, device).requires_grad_(grad), weight = torch::zeros({5, 4}, device);
      at::AutoGradMode mode(grad);
      const auto names = dispatched([&] { CHECK(causal_conv1d(x, weight).sizes() == x.sizes()); });
      CHECK(std::count(names.begin(), names.end(), "m3d::causal_conv1d") == 1);
    }
}

TEST_CASE("causal_conv1d: errors name the argument", "[causal_conv1d]") {
  using Catch::Matchers::Contains;
  const at::Tensor x = torch::zeros({1, 6, 5});
  CHECK_THROWS_WITH(causal_conv1d(x[0], torch::zeros({5, 4})), Contains("causal_conv1d: x must have 3 dimensions"));
  CHECK_THROWS_WITH(causal_conv1d(x, torch::zeros({4, 5})), Contains("weight must be [C, width] = [5, 5]"));
  CHECK_THROWS_WITH(causal_conv1d(x, torch::zeros({5, 9})), Contains("width of 1 to 8"));
  CHECK_THROWS_WITH(causal_conv1d(x, torch::zeros({5, 4}), torch::zeros({6})), Contains("bias must be [C] = [5]"));
  CHECK_THROWS_WITH(causal_conv1d(x, torch::zeros({5, 4}, torch::kDouble)), Contains("dtype of x"));
}
