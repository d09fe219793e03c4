// What token mixers are made of beside the operators: normalisation of tokens, the gate of several scans, strides of an
// image of one channel.
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <functional>
#include <vector>

#include "architectures/blocks/channels_last.h"
#include "architectures/blocks/gated_sum.h"
#include "architectures/blocks/rms_norm.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

using torch::Tensor;
using Tensors = std::vector<Tensor>;

/// The result and the gradients of all inputs.
Tensors differentiated(const std::function<Tensor(const Tensors&)>& function, const Tensors& values) {
  Tensors inputs;
  for (const Tensor& value : values) inputs.push_back(value.detach().clone().requires_grad_());
  const Tensor result = function(inputs);
  torch::manual_seed(9);
  result.backward(torch::randn(result.sizes(), torch::kDouble).to(result.scalar_type()));
  Tensors all{result.detach()};
  for (const Tensor& input : inputs) all.push_back(input.grad());
  return all;
}

void check_close(const Tensors& found, const Tensors& expected, double tolerance) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    REQUIRE(found[i].sizes() == expected[i].sizes());
    const auto difference = (found[i].to(torch::kDouble) - expected[i]).abs().max() / expected[i].abs().max();
    CHECK(difference.item<double>() < tolerance);
  }
}

void check_same_bits_for_any_threads(const std::function<Tensors()>& compute) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Tensors one = compute();
  at::set_num_threads(2);
  const Tensors two = compute();
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(torch::equal(one[i], two[i]));
}

Tensors in(torch::ScalarType type, const Tensors& values) {
  Tensors converted;
  for (const Tensor& value : values) converted.push_back(value.to(type));
  return converted;
}

}  // namespace

TEST_CASE("RMSNorm of tokens equals its formula, with its gradients", "[rms_norm]") {
  torch::manual_seed(2);
  const auto shape = GENERATE(std::vector<std::int64_t>{2, 700, 48}, std::vector<std::int64_t>{1, 3, 5},
                              std::vector<std::int64_t>{1, 1, 37}, std::vector<std::int64_t>{3, 0, 16});
  const Tensors values{torch::randn(shape, torch::kDouble), torch::randn({shape.back()}, torch::kDouble)};
  const double eps = 1e-3;
  const auto formula = [&](const Tensors& in) {
    return in[0] * torch::rsqrt(in[0].square().mean(-1, true) + eps) * in[1];
  };
  const auto ours = [&](const Tensors& in) { return rms_norm(in[0], in[1], eps); };
  if (values[0].numel() == 0) {
    const Tensors empty = differentiated(ours, values);
    CHECK(empty[0].sizes() == values[0].sizes());
    CHECK(empty[2].eq(0).all().item<bool>());
    return;
  }
  const Tensors expected = differentiated(formula, values);
  check_close(differentiated(ours, values), expected, 1e-13);
  check_close(differentiated(ours, in(torch::kFloat, values)), expected, 1e-5);
  check_same_bits_for_any_threads([&] { return differentiated(ours, in(torch::kFloat, values)); });
}

TEST_CASE("RMSNorm takes tokens in any strides", "[rms_norm]") {
  const Tensor channels_first = torch::randn({2, 12, 40}, torch::kDouble), weight = torch::randn({12}, torch::kDouble);
  const Tensor tokens = channels_first.transpose(1, 2);
  CHECK(torch::equal(rms_norm(tokens, weight, 1e-5), rms_norm(tokens.contiguous(), weight, 1e-5)));
}

TEST_CASE("one gate serves all scans of a layer as a gate each would", "[gated_sum]") {
  torch::manual_seed(4);
  const auto scans = GENERATE(1, 2, 3);
  const auto scales = GENERATE(1, 3);
  const std::int64_t batch = 2, length = 300, channels = 24;
  CAPTURE(scans, scales);
  Tensors values{torch::randn({batch, length, channels}, torch::kDouble)};
  for (int i = 0; i < scans; ++i) values.push_back(torch::randn({batch, scales * length, channels}, torch::kDouble));
  const double factor = 1.0 / scans;
  const auto gated_one_by_one = [&](const Tensors& in) {
    Tensor sum;
    for (std::size_t i = 1; i < in.size(); ++i) {
      const Tensor gated = in[i] * torch::silu(in[0]).repeat({1, scales, 1});
      const Tensor joined = torch::cat(gated.split(length, 1), -1);
      sum = sum.defined() ? sum + joined : joined;
    }
    return sum * factor;
  };
  const auto ours = [&](const Tensors& in) { return gated_sum(Tensors(in.begin() + 1, in.end()), in[0], factor); };
  const Tensors expected = differentiated(gated_one_by_one, values);
  check_close(differentiated(ours, values), expected, 1e-13);
  check_close(differentiated(ours, in(torch::kFloat, values)), expected, 1e-5);
  // bfloat16 takes LibTorch's operators.
  check_close(differentiated(ours, in(torch::kBFloat16, values)), expected, 0.1);
  check_same_bits_for_any_threads([&] { return differentiated(ours, in(torch::kFloat, values)); });
}

TEST_CASE("an image of one channel makes a convolution work in channels-last strides", "[channels_last]") {
  const auto channels = GENERATE(1, 2);
  const Tensor image = torch::randn({2, channels, 6, 8, 10}), last = in_channels_last(image);
  CHECK(torch::equal(last, image));
  CHECK(last.suggest_memory_format() == torch::MemoryFormat::ChannelsLast3d);
  const Tensor weight = torch::randn({16, channels, 3, 3, 3});
  CHECK(torch::conv3d(last, weight).is_contiguous(torch::MemoryFormat::ChannelsLast3d));
}
