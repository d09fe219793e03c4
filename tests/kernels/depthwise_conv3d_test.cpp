#include "kernels/depthwise_conv3d/depthwise_conv3d.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "kernels/depthwise_conv3d/depthwise_conv3d_reference.h"
#include "tests/catch.h"
#include "tests/kernels/gradcheck.h"
#include "tests/kernels/multiscale_arguments.h"

using namespace m3d;
using namespace m3d::test;

namespace {

/// x, weight and perhaps bias.
Tensors make_arguments(const Sizes& shape, const Sizes& kernel, bool bias) {
  const std::int64_t channels = shape[4];
  Tensors t{fill("x", shape), fill("weight", {channels, 1, kernel[0], kernel[1], kernel[2]})};
  if (bias) t.push_back(fill("bias", {channels}));
  return t;
}

at::Tensor call(decltype(depthwise_conv3d_reference) function, const Tensors& t, bool silu) {
  return function(t[0], t[1], t.size() > 2 ? OptionalTensor(t[2]) : std::nullopt, silu);
}

at::Tensor loss(decltype(depthwise_conv3d_reference) function, const Tensors& t, bool silu) {
  const at::Tensor y = call(function, t, silu);
  return (y * fill("weights", y.sizes()).to(y.scalar_type())).sum();
}

Tensors gradients_of(decltype(depthwise_conv3d_reference) function, const Tensors& t, bool silu) {
  return gradients([&](const Tensors& leaves) { return loss(function, leaves, silu); }, t);
}

}  // namespace

TEST_CASE("depthwise_conv3d: the operator records", "[depthwise_conv3d]") {
  const UseInstructionSet use(GENERATE(from_range(all_instruction_sets)));
  const auto record = load_record("depthwise_conv3d");
  for (const auto& entry : record.at("cases")) {
    const std::string id = entry.at("id");
    CAPTURE(id);
    const auto last = [](const at::Tensor& x) { return x.permute({0, 2, 3, 4, 1}); };
    const auto& inputs = entry.at("inputs");
    Tensors t{last(recorded(inputs.at("x"))), recorded(inputs.at("weight"))};
    if (entry.at("has_bias")) t.push_back(recorded(inputs.at("bias")));
    CHECK(relative_error(call(depthwise_conv3d, t, false), last(recorded(entry.at("outputs").at("out")))) < 1e-9);
    const Tensors grads = gradients(
        [&](const Tensors& leaves) {
          const at::Tensor y = call(depthwise_conv3d, leaves, false).permute({0, 4, 1, 2, 3});
          return (y * fill(id + ".w", y.sizes())).sum();
        },
        t);
    const auto& expected = entry.at("gradients");
    CHECK(relative_error(grads[0], last(recorded(expected.at("x")))) < 1e-9);
    CHECK(relative_error(grads[1], recorded(expected.at("weight"))) < 1e-9);
    if (t.size() > 2) CHECK(relative_error(grads[2], recorded(expected.at("bias"))) < 1e-9);
  }
}

TEST_CASE("depthwise_conv3d: gradients against finite differences, every combination of options",
          "[depthwise_conv3d]") {
  for (const Sizes& kernel : {Sizes{3, 3, 3}, {1, 3, 5}, {5, 1, 1}, {1, 1, 9}})
    for (const bool bias : {false, true})
      for (const bool silu : {false, true}) {
        CAPTURE(kernel, bias, silu);
        const Tensors t = make_arguments({2, 3, 2, 4, 2}, kernel, bias);
        CHECK(gradient_error([&](const Tensors& leaves) { return loss(depthwise_conv3d, leaves, silu); }, t) < 1e-8);
      }
}

TEST_CASE("depthwise_conv3d: equals the plain form for any shape, channels and kernel", "[depthwise_conv3d]") {
  struct Case {
    Sizes shape, kernel;
  };
  for (const Case& c :
       {Case{{1, 1, 1, 1, 1}, {7, 7, 7}}, Case{{2, 4, 3, 9, 20}, {3, 3, 3}}, Case{{1, 17, 5, 8, 33}, {3, 5, 7}},
        Case{{1, 9, 6, 11, 3}, {5, 5, 5}}, Case{{1, 3, 7, 9, 20}, {7, 7, 7}}, Case{{1, 2, 3, 21, 2}, {1, 3, 11}},
        Case{{1, 2, 20, 300, 1}, {3, 3, 3}}, Case{{0, 2, 3, 4, 5}, {3, 3, 3}}, Case{{1, 2, 0, 4, 5}, {3, 3, 3}}}) {
    const Tensors t = make_arguments(c.shape, c.kernel, true);
    const at::Tensor y = call(depthwise_conv3d_reference, t, true);
    const Tensors expected = gradients_of(depthwise_conv3d_reference, t, true);
    for (const InstructionSet set : all_instruction_sets) {
      CAPTURE(c.shape, c.kernel, static_cast<int>(set));
      const UseInstructionSet use(set);
      CHECK(relative_error(call(depthwise_conv3d, t, true), y) < 1e-13);
      const Tensors grads = gradients_of(depthwise_conv3d, t, true);
      for (std::size_t k = 0; k < grads.size(); ++k) CHECK(relative_error(grads[k], expected[k]) < 1e-12);
    }
  }
}

TEST_CASE("depthwise_conv3d: float32 against float64, bits independent of threads", "[depthwise_conv3d]") {
  for (const std::int64_t k : {3, 7}) {
    const Tensors exact = make_arguments({1, 10, 16, 20, 20}, {k, k, k}, true);
    Tensors t;
    for (const at::Tensor& tensor : exact) t.push_back(tensor.to(at::kFloat));
    const at::Tensor y = call(depthwise_conv3d, t, true);
    CHECK(relative_error(y, call(depthwise_conv3d, exact, true)) < 1e-6);
    const Tensors grads = gradients_of(depthwise_conv3d, t, true);
    const Tensors expected = gradients_of(depthwise_conv3d, exact, true);
    for (std::size_t i = 0; i < grads.size(); ++i) CHECK(relative_error(grads[i], expected[i]) < 5e-6);
    const int threads = at::get_num_threads();
    at::set_num_threads(threads == 1 ? 2 : 1);
    CHECK(torch::equal(y, call(depthwise_conv3d, t, true)));
    const Tensors again = gradients_of(depthwise_conv3d, t, true);
    for (std::size_t i = 0; i < grads.size(); ++i) CHECK(torch::equal(grads[i], again[i]));
    at::set_num_threads(threads);
  }
}

TEST_CASE("depthwise_conv3d: tensors that are not contiguous", "[depthwise_conv3d]") {
  const Tensors t = make_arguments({2, 3, 4, 9, 20}, {3, 3, 3}, true);
  const at::Tensor expected = call(depthwise_conv3d, t, true);
  const at::Tensor half = torch::cat({t[0], t[0]}, 4).narrow(4, 20, 20);
  const at::Tensor channels_first = t[0].permute({0, 4, 1, 2, 3}).contiguous().permute({0, 2, 3, 4, 1});
  const at::Tensor turned = t[0].transpose(1, 3).contiguous().transpose(1, 3);
  for (const at::Tensor& x : {half, channels_first, turned})
    CHECK(torch::equal(call(depthwise_conv3d, {x, t[1], t[2]}, true), expected));
}

TEST_CASE("depthwise_conv3d: a kernel whose axes are turned, and the gradient of what it is a view of",
          "[depthwise_conv3d]") {
  const UseInstructionSet use(GENERATE(from_range(all_instruction_sets)));
  const std::int64_t channels = GENERATE(3, 16, 70);
  const Sizes axes = GENERATE(Sizes{0, 1, 4, 2, 3}, Sizes{0, 1, 3, 4, 2});
  const at::Tensor x = fill("x", {2, 4, 3, 5, channels}), weight = fill("weight", {channels, 1, 3, 1, 5});
  const auto turned = [&](decltype(depthwise_conv3d_reference) function) {
    return gradients([&](const Tensors& t) { return loss(function, {t[0], t[1].permute(axes)}, true); }, {x, weight});
  };
  const Tensors got = turned(depthwise_conv3d), expected = turned(depthwise_conv3d_reference);
  CHECK(relative_error(got[0], expected[0]) < 1e-12);
  CHECK(relative_error(got[1], expected[1]) < 1e-12);
  CHECK(got[1].is_contiguous());  // as the weight is: an optimiser's step reads both in one order
}

TEST_CASE("depthwise_conv3d_multiscale: equals its kernels one by one", "[depthwise_conv3d]") {
  struct Case {
    std::vector<Sizes> kernels;
    bool silu, without_first_bias;
  };
  for (const Case& c : {Case{{{3, 3, 3}, {5, 5, 5}, {7, 7, 7}}, true, false}, Case{{{7, 1, 3}, {1, 5, 1}}, false, true},
                        Case{{{3, 3, 3}, {9, 3, 5}, {1, 1, 1}, {5, 7, 3}}, true, true}, Case{{{5, 5, 5}}, true, false}})
    for (const Sizes& shape : {Sizes{2, 5, 6, 9, 20}, Sizes{1, 18, 3, 4, 7}, Sizes{0, 2, 3, 4, 5}}) {
      const Multiscale conv(shape, c.kernels, c.silu, c.without_first_bias);
      const Tensors expected = Multiscale::results([&](const Tensors& t) { return conv.reference(t); }, conv.tensors);
      for (const InstructionSet set : all_instruction_sets) {
        CAPTURE(c.kernels, shape, static_cast<int>(set));
        const UseInstructionSet use(set);
        const Tensors actual = Multiscale::results([&](const Tensors& t) { return conv.call(t); }, conv.tensors);
        for (std::size_t k = 0; k < actual.size(); ++k) CHECK(relative_error(actual[k], expected[k]) < 1e-12);
      }
    }
}

TEST_CASE("depthwise_conv3d_multiscale: the same bits for any number of threads, one call, errors by name",
          "[depthwise_conv3d]") {
  const Multiscale conv({1, 10, 16, 20, 20}, {{3, 3, 3}, {5, 5, 5}, {7, 7, 7}}, true);
  Tensors t;
  for (const at::Tensor& tensor : conv.tensors) t.push_back(tensor.to(at::kFloat));
  const auto results = [&] { return Multiscale::results([&](const Tensors& v) { return conv.call(v); }, t); };
  const int threads = at::get_num_threads();
  const Tensors one = results();
  at::set_num_threads(threads == 1 ? 2 : 1);
  const Tensors other = results();
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(torch::equal(one[i], other[i]));

  for (const auto device : {at::kCPU, at::kMeta}) {
    Tensors on_device;
    for (const at::Tensor& tensor : t) on_device.push_back(tensor.to(device));
    const auto names = dispatched([&] { CHECK(conv.call(on_device).sizes() == Sizes{1, 3, 10, 16, 20, 20}); });
    CHECK(std::count(names.begin(), names.end(), "m3d::depthwise_conv3d_multiscale") == 1);
  }

  using Catch::Matchers::Contains;
  CHECK_THROWS_WITH(depthwise_conv3d_multiscale(t[0], {}, {}), Contains("1 to 4 tensors"));
  CHECK_THROWS_WITH(depthwise_conv3d_multiscale(t[0], {t[1]}, {}), Contains("biases must be as many"));
  CHECK_THROWS_WITH(depthwise_conv3d_multiscale(t[0], {t[1], t[2].narrow(0, 0, 3)}, {{}, {}}),
                    Contains("depthwise_conv3d_multiscale: weight must be"));
}

TEST_CASE("depthwise_conv3d: the dispatcher sees one call, on meta tensors too", "[depthwise_conv3d]") {
  for (const auto device : {at::kCPU, at::kMeta})
    for (const bool grad : {false, true}) {
      const at::Tensor x = torch::zeros({1, 2, 3, 4, 5}, device).requires_grad_(grad);
      const at::Tensor weight = torch::zeros({5, 1, 3, 3, 3}, device);
      at::AutoGradMode mode(grad);
      const auto names = dispatched([&] { CHECK(depthwise_conv3d(x, weight, {}, true).sizes() == x.sizes()); });
      CHECK(std::count(names.begin(), names.end(), "m3d::depthwise_conv3d") == 1);
    }
}

TEST_CASE("depthwise_conv3d: errors name the argument", "[depthwise_conv3d]") {
  using Catch::Matchers::Contains;
  const at::Tensor x = torch::zeros({1, 2, 3, 4, 5});
  CHECK_THROWS_WITH(depthwise_conv3d(x[0], torch::zeros({5, 1, 3, 3, 3})), Contains("x must have 5 dimensions"));
  CHECK_THROWS_WITH(depthwise_conv3d(x, torch::zeros({5, 3, 3, 3})), Contains("weight must be [C, 1, kd, kh, kw]"));
  CHECK_THROWS_WITH(depthwise_conv3d(x, torch::zeros({4, 1, 3, 3, 3})), Contains("= [5, 1, 3, 3, 3]"));
  CHECK_THROWS_WITH(depthwise_conv3d(x, torch::zeros({5, 1, 3, 2, 3})), Contains("odd kernel sizes"));
  CHECK_THROWS_WITH(depthwise_conv3d(x, torch::zeros({5, 1, 3, 3, 3}), torch::zeros({4})), Contains("bias must be"));
}
